"""One request at a time, in the main thread: the hot path.

Requests that are already here are handled one after another and answered in one system call. An answer never waits for
a read, never longer than JOIN_NS for the requests behind it, and not at all while the function is slow: a function that
took longer than SLOW_NS gets its answers out at once for its next requests.
"""

from __future__ import annotations

import fcntl
import os
import select
from array import array
from time import perf_counter_ns

from . import context, fault, frames, heap, instance

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

JOIN_NS = 100_000
SLOW_NS = 500_000
_CAREFUL_REQUESTS = 1000
"""How long a slow request is remembered."""
_JOIN_BYTES = 65536
_FIONREAD = 0x541B
_REST_BYTES = 1 << 20
_JSON = (dict, list, tuple, int, float, bool, type(None))
# Plain names for the hot path.
_REQ, _DRAIN, _RESP, _END, _END_RAW, _INLINE = (
    frames.REQ,
    frames.DRAIN,
    frames.RESP,
    frames.END,
    frames.END | frames.RAW_LOG,
    frames.INLINE_BYTES,
)


class Drained(Exception):
    """The node wants the instance to end."""


class RawFlag:
    """Whether something that was written to the descriptors 1 and 2 has not been read yet."""

    def __init__(self) -> None:
        self._count = array("i", [0])

    def __call__(self) -> int:
        try:
            fcntl.ioctl(1, _FIONREAD, self._count)
        except OSError:  # the function closed it
            return 0
        return self._count[0]


class Blocking:
    """Serves an instance until its request pipe ends, or `Drained` is raised."""

    def __init__(self, served: instance.Instance) -> None:
        self._of = served
        self._pipe = served.pipe
        self._read_fd = served.read_fd
        self._rest = b""
        """What was read beyond the frame at hand by the slow paths; begins with a frame."""
        self._raw = RawFlag()
        self._heap = heap.Heap()
        self._loop: Any = None

    def watch_heap(self, watch: heap.Heap) -> None:
        """Takes the place of the usual watch, before `serve`."""
        self._heap = watch

    def serve(self) -> None:
        """Handles requests. The names are local because this runs for every one of them."""
        of, read_fd, handler, new_context = self._of, self._read_fd, self._of.handler, context.Context
        out, log, pack, unpack, read = of.out, of.out.log, frames.pack, frames.unpack_from, os.read
        now, write, raw_flag = perf_counter_ns, of.pipe.write, self._raw
        memory = self._heap
        pending: list[bytes] = []
        pending_bytes = since = careful = at = have = 0
        data = b""
        while True:
            if have - at >= 16:
                length, stream, meta, kind, flags, _ = unpack(data, at)
                body = at + 16 + meta
                stop = at + 16 + length
            else:
                stop = have + 1
            if stop > have:
                if pending:
                    write(b"".join(pending))
                    pending.clear()
                    pending_bytes = 0
                if memory.grown:
                    event = result = b""
                    memory.shrink_if_idle(read_fd)
                more = read(read_fd, frames.READ_BYTES)
                if not more:
                    return
                data = data[at:] + more if at < have else more
                at, have = 0, len(data)
                continue
            if kind != _REQ:
                if kind == _DRAIN:
                    raise Drained
                if kind == frames.CREDENTIALS:
                    context.renew(data[body:stop])
                at = stop  # the end of a request that was answered already
                continue
            event = data[body:stop]
            if flags == _END:
                about = new_context()
                about.request_id = data[at + 16 : body].decode()
            else:
                about = of.context_for(flags, data[at + 16 : body])
                if not flags & _END:
                    event, data = self._gather(event, data[stop:])
                    have, stop = len(data), 0
            at = stop
            began = now()
            if pending and (careful or began - since > JOIN_NS):
                write(b"".join(pending))
                pending.clear()
                pending_bytes = 0
            if careful:
                careful -= 1
            log.stream = stream
            log.context = about
            try:
                result = handler(event, about)
                if type(result) is not bytes:
                    if type(result) is str:
                        result = result.encode()
                    elif type(result) in _JSON:
                        result = instance.as_json(result).encode()
                ended = now()
                if log.used:
                    out.finish(log)
                if type(result) is bytes and len(result) <= _INLINE:
                    flags = _END if not raw_flag() else _END_RAW
                    reply = pack(len(result), stream, 0, _RESP, flags, (ended - began) // 1000) + result
                else:
                    if pending:
                        write(b"".join(pending))
                        pending.clear()
                        pending_bytes = 0
                    self._rest = data[at:]
                    self._answer(stream, result, (ended - began) // 1000)
                    data = self._rest
                    at, have = 0, len(data)
                    log.stream = 0
                    continue
            except BaseException as failure:
                ended = now()
                reply = self._failed(stream, failure, pending)
            log.stream = 0
            if not pending:
                since = ended
            pending.append(reply)
            pending_bytes += len(reply)
            if ended - began > SLOW_NS:
                careful = _CAREFUL_REQUESTS
            if pending_bytes > _JOIN_BYTES:
                write(b"".join(pending))
                pending.clear()
                pending_bytes = 0

    # --- what is rare -------------------------------------------------------------------------------------------------

    def _failed(self, stream: int, failure: BaseException, pending: list[bytes]) -> bytes:
        out = self._of.out
        if out.log.used:
            out.finish(out.log)
        if isinstance(failure, SystemExit):
            if pending:
                self._pipe.write(b"".join(pending))
            raise failure
        code, text = fault.describe(failure)
        return frames.frame(stream, frames.ERROR, frames.END | self._raw_bit(), code, b"", text)

    def _raw_bit(self) -> int:
        return frames.RAW_LOG if self._raw() else 0

    def _gather(self, first: bytes, rest: bytes) -> tuple[bytes, bytes]:
        """The whole payload of a request in pieces, and what was read behind it."""
        parts, size, read_fd, unpack = [first], len(first), self._read_fd, frames.unpack_from
        data, at, have = rest, 0, len(rest)
        while True:
            while have - at >= 16:
                length, _, meta, kind, flags, _ = unpack(data, at)
                stop = at + 16 + length
                if stop > have:
                    break
                if kind == frames.CREDENTIALS:
                    context.renew(data[at + 16 + meta : stop])
                elif kind == frames.BODY:
                    parts.append(data[at + 16 + meta : stop])
                    size += length - meta
                    if flags & frames.END:
                        self._heap.note(size)
                        return b"".join(parts), data[stop:]
                at = stop
            more = os.read(read_fd, 1 << 20)
            if not more:
                raise frames.Gone
            data = data[at:] + more if at < have else more
            at, have = 0, len(data)

    def _answer(self, stream: int, result: Any, us: int) -> None:
        """Any answer but a short one in bytes."""
        flags = self._raw_bit()
        try:
            if hasattr(result, "__await__") or hasattr(result, "__anext__"):
                result = self._run_async(stream, result)
            if result is _STREAMED:
                return
            if instance.is_stream(result):
                self._stream(stream, result)
                return
            body = instance.body(result)
            self._heap.note(len(body))
            self._pipe.write_all(frames.answer(stream, flags, us, body))
        except frames.Gone:
            raise
        except BaseException as failure:
            self._pipe.write(self._failed(stream, failure, []))

    def _stream(self, stream: int, pieces: Any) -> None:
        answer = instance.Stream(self._pipe, stream)
        for value in pieces:
            answer.send(instance.piece(value))
            if self._cancelled(stream):
                close = getattr(pieces, "close", None)
                if close is not None:
                    close()
                break
        if self._of.out.log.used:
            self._of.out.finish(self._of.out.log)
        answer.end(self._raw_bit())

    def _cancelled(self, stream: int) -> bool:
        """Whether the caller has gone, as far as the node has said so already."""
        while len(self._rest) < _REST_BYTES and select.select([self._read_fd], [], [], 0)[0]:
            more = os.read(self._read_fd, 65536)
            if not more:
                raise frames.Gone
            self._rest += more
        at = 0
        while len(self._rest) - at >= 16:
            length, of, _, kind, _, _ = frames.unpack_from(self._rest, at)
            if kind == frames.CANCEL and of == stream:
                return True
            at += 16 + length
        return False

    def _run_async(self, stream: int, result: Any) -> Any:
        """A plain function that returned a coroutine: its loop is made when first needed, and kept."""
        import asyncio

        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)

        async def drain() -> Any:
            if hasattr(result, "__await__"):
                return await result
            answer = instance.Stream(self._pipe, stream)
            async for value in result:
                answer.send(instance.piece(value))
            answer.end()
            return _STREAMED

        return self._loop.run_until_complete(drain())


_STREAMED = object()
