"""Instances without processes: a spawner whose instances are Python functions on the test's own loop.

They speak the real frames over real pipes, so everything above the spawner is the real thing. A handler is called with
an `Asked` and answers bytes, or raises; it may also misbehave on purpose through the instance it is given.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import msgspec

from functory.model import errors
from functory.model.instance import Exit, GroupFiles, InstanceSpec
from functory.runtimes import wire
from functory.spawner.base import Spawned
from functory.spawner.protocol import TierReport


class Asked(msgspec.Struct, kw_only=True):
    """One request as an instance sees it."""

    instance: MemoryInstance
    stream: int
    request_id: str
    payload: bytes
    left_ms: int


Handler = Callable[[Asked], Awaitable[bytes]]


class Kernel:
    """What stands in for the files of an instance's control group."""

    def __init__(self) -> None:
        self._freeze, self._memory = os.memfd_create("cgroup.freeze"), os.memfd_create("memory.usage")
        self.hold(2 << 20)

    @property
    def files(self) -> GroupFiles:
        """Their paths."""
        own = f"/proc/{os.getpid()}/fd"
        return GroupFiles(freeze=f"{own}/{self._freeze}", memory=f"{own}/{self._memory}")

    @property
    def frozen(self) -> bool:
        """The last word that was written."""
        return os.pread(self._freeze, 1, 0) == b"1"

    def hold(self, size_bytes: int) -> None:
        """What the instance holds from now on."""
        os.ftruncate(self._memory, 0)
        os.pwrite(self._memory, b"%d" % size_bytes, 0)

    def close(self) -> None:
        """They are gone."""
        os.close(self._freeze)
        os.close(self._memory)


class MemoryInstance(asyncio.Protocol):
    """One instance: reads requests from its pipe, runs the handler, answers."""

    def __init__(
        self,
        spec: InstanceSpec,
        handler: Handler,
        reply: asyncio.WriteTransport,
        log_fd: int,
        on_exit: Callable[[Exit], None],
    ) -> None:
        self.spec = spec
        self.asked: list[Asked] = []
        """Everything it was asked, in order."""
        self.ended = False
        self.parent: MemoryInstance | None = None
        """The template that it is a fork of."""
        self._handler = handler
        self._reply = reply
        self.log_fd = log_fd
        self.kernel = Kernel()
        self.files = self.kernel.files
        self._on_exit = on_exit
        self._buffer = b""
        self._partial: dict[int, list[bytes]] = {}
        self._ids: dict[int, tuple[str, int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.BaseTransport | None = None

    @property
    def frozen(self) -> bool:
        """Whether it is held still now."""
        return self.kernel.frozen

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert not self.frozen, "it was asked, but nobody has let it go on"
        self._buffer += data
        while len(self._buffer) >= wire.HEADER_BYTES:
            length, stream, meta_bytes, kind, flags, aux = wire.HEADER.unpack_from(self._buffer)
            end = wire.HEADER_BYTES + length
            if len(self._buffer) < end:
                return
            meta = self._buffer[wire.HEADER_BYTES : wire.HEADER_BYTES + meta_bytes]
            payload = self._buffer[wire.HEADER_BYTES + meta_bytes : end]
            self._buffer = self._buffer[end:]
            self._take(stream, kind, flags, aux, meta, payload)

    def _take(self, stream: int, kind: int, flags: int, aux: int, meta: bytes, payload: bytes) -> None:
        if kind == wire.Type.DRAIN:
            self.end(Exit(instance_id=self.spec.instance_id))
        elif kind == wire.Type.REQ:
            self._ids[stream] = (meta.split(b"\0")[0].decode(), aux)
            self._partial[stream] = [payload]
        elif kind == wire.Type.BODY:
            self._partial[stream].append(payload)
        if kind in (wire.Type.REQ, wire.Type.BODY) and flags & wire.Flag.END:
            request_id, left_ms = self._ids.pop(stream)
            asked = Asked(
                instance=self,
                stream=stream,
                request_id=request_id,
                left_ms=left_ms,
                payload=b"".join(self._partial.pop(stream)),
            )
            self.asked.append(asked)
            task = asyncio.get_running_loop().create_task(self._answer(asked))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, asked: Asked) -> None:
        try:
            answer = await self._handler(asked)
        except Exception as error:
            body = msgspec.json.encode(
                {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": []}
            )
            self.send(asked.stream, wire.Type.ERROR, wire.Flag.END, wire.ErrorCode.UNHANDLED, b"", body)
            return
        if len(answer) <= wire.INLINE_BYTES:
            self.send(asked.stream, wire.Type.RESP, wire.Flag.END, 0, b"", answer)
            return
        size = len(answer).to_bytes(8, "little")
        self.send(asked.stream, wire.Type.RESP, 0, 0, size, b"")
        for start in range(0, len(answer), wire.PIECE_BYTES):
            piece = answer[start : start + wire.PIECE_BYTES]
            last = wire.Flag.END if start + wire.PIECE_BYTES >= len(answer) else 0
            self.send(asked.stream, wire.Type.BODY, last, 0, b"", piece)
            await asyncio.sleep(0)

    def send(self, stream: int, kind: int, flags: int, aux: int, meta: bytes, payload: bytes) -> None:
        """Sends a frame, right or wrong."""
        self.send_raw(wire.frame(stream, kind, flags, aux, meta, payload))

    def send_raw(self, data: bytes) -> None:
        """Sends any bytes."""
        if not self.ended:
            self._reply.write(data)

    def end(self, exit_: Exit) -> None:
        """The process is gone."""
        if self.ended:
            return
        self.ended = True
        for task in self._tasks:
            task.cancel()
        self._reply.close()
        os.close(self.log_fd)
        self.kernel.close()
        if self._transport is not None:
            self._transport.close()
        self._on_exit(exit_)


class MemorySpawner:
    """Makes `MemoryInstance`s. Implements `spawner.client.Spawner`."""

    def __init__(self, handler: Handler, *, hello: bool = True) -> None:
        self.handler = handler
        self.hello = hello
        """Whether new instances greet at once; otherwise the test sends what it wants."""
        self.refuse = ""
        """If set, `spawn` fails with this reason."""
        self.made: list[MemoryInstance] = []
        self.killed: list[str] = []
        self.load_us = 5
        """What new instances say that loading took them."""
        self.restore_fails = b""
        """If set, what forks of templates say instead of a greeting."""
        self.spawned = asyncio.Event()
        """Set each time an instance was made."""

    @property
    def tier(self) -> TierReport:
        return TierReport(name="D", summary="functions on the test's own loop: no isolation at all")

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        for instance in self.made:
            instance.end(Exit(instance_id=instance.spec.instance_id, signal=9, killed=True))

    async def spawn(self, spec: InstanceSpec, on_exit: Callable[[Exit], None], parent: str = "") -> Spawned:
        if self.refuse:
            raise errors.Unavailable(self.refuse)
        (request_read, request_write), (reply_read, reply_write) = os.pipe(), os.pipe()
        log_read, log_write = os.pipe()
        for fd in (request_write, reply_read, log_read):
            os.set_blocking(fd, False)
        loop = asyncio.get_running_loop()
        reply, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(reply_write, "wb", 0))
        instance = MemoryInstance(spec, self.handler, reply, log_write, on_exit)
        await loop.connect_read_pipe(lambda: instance, os.fdopen(request_read, "rb", 0))
        self.made.append(instance)
        instance.parent = next((one for one in self.made if one.spec.instance_id == parent and not one.ended), None)
        if instance.parent is not None and self.restore_fails:
            instance.send(0, wire.Type.ERROR, wire.Flag.END, wire.ErrorCode.INIT, b"", self.restore_fails)
        elif self.hello:
            times = {"importUs": self.load_us, "initUs": 7}
            if instance.parent is not None:
                times = {"importUs": 0, "initUs": 0, "restoreUs": 11}
            greeting = msgspec.json.encode({"protocol": wire.PROTOCOL, "mode": "async", **times})
            instance.send(0, wire.Type.HELLO, 0, 0, greeting, b"")
        self.spawned.set()
        return Spawned(
            pid=os.getpid(), request_fd=request_write, reply_fd=reply_read, log_fd=log_read, files=instance.files
        )

    def kill(self, instance_id: str) -> None:
        self.killed.append(instance_id)
        for instance in self.made:
            if instance.spec.instance_id == instance_id:
                instance.end(Exit(instance_id=instance_id, signal=9, killed=True))


def holding(answer: bytes = b"") -> tuple[asyncio.Semaphore, asyncio.Event, Handler]:
    """A function that waits: released once for each request that has arrived, the event that lets all answer, it."""
    inside, go = asyncio.Semaphore(0), asyncio.Event()

    async def hold(_: Asked) -> bytes:
        inside.release()
        await go.wait()
        return answer

    return inside, go, hold
