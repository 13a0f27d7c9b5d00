"""UDP of one instance: a socket outside for each pair of its port and a destination, answers through raw sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence

from functory.network import packets
from functory.network.counters import IN, OUT
from functory.network.packets import End

IDLE_S = 60.0
"""A pair between which nothing went for so long is forgotten."""
WAITING_MAX = 16
"""Datagrams kept while the destination is looked up."""
_READS_MAX = 64
_IP_ORIGINAL, _IPV6_ORIGINAL = 20, 74
_DATAGRAM_BYTES = 65_536


class Flow:
    """One pair."""

    __slots__ = ("outside", "sender", "to", "used_s", "waiting")

    def __init__(self, sender: End, to: End) -> None:
        self.sender = sender
        self.to = to
        self.outside: socket.socket | None = None
        self.waiting: list[bytes] | None = []
        """Until the way is known; None = there is none."""
        self.used_s = 0.0


class Flows:
    """All pairs of one instance."""

    def __init__(
        self,
        inside: socket.socket,
        answers: Sequence[socket.socket],
        route: Callable[[End], Awaitable[tuple[str, int] | None]],
        count: Callable[[int, int], None],
        most: int,
    ) -> None:
        """`answers`: raw sockets of both families. `route`: where a destination really is; None = it is denied."""
        self._inside = inside
        self._answers = answers
        self._route = route
        self._count = count
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._flows: dict[tuple[End, End], Flow] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def read(self) -> None:
        """Takes what the instance has sent."""
        for _ in range(_READS_MAX):
            try:
                data, ancillary, _, sender = self._inside.recvmsg(_DATAGRAM_BYTES, 256)
            except OSError:
                return
            to = _original(ancillary)
            if to is not None:
                self._send(End(packets.unmapped(sender[0]), sender[1]), to, data)

    def sweep(self, now_s: float) -> None:
        """Forgets what is not used."""
        for key, flow in list(self._flows.items()):
            if now_s - flow.used_s > IDLE_S:
                self._drop(key)

    def close(self) -> None:
        """Ends all."""
        for key in list(self._flows):
            self._drop(key)
        for task in self._tasks:
            task.cancel()

    def _send(self, sender: End, to: End, data: bytes) -> None:
        key = (sender, to)
        flow = self._flows.get(key)
        if flow is None:
            if len(self._flows) >= self._most:
                self._drop(min(self._flows, key=lambda one: self._flows[one].used_s))
            flow = self._flows[key] = Flow(sender, to)
            task = self._loop.create_task(self._open(key, flow))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        flow.used_s = self._loop.time()
        if flow.outside is not None:
            self._pass_on(flow.outside, data)
        elif flow.waiting is not None and len(flow.waiting) < WAITING_MAX:
            flow.waiting.append(data)

    def _pass_on(self, outside: socket.socket, data: bytes) -> None:
        self._count(OUT, len(data))
        with contextlib.suppress(OSError):  # datagrams may be lost
            outside.send(data)

    async def _open(self, key: tuple[End, End], flow: Flow) -> None:
        target = await self._route(flow.to)
        waiting, flow.waiting = flow.waiting or [], None
        if target is None or self._flows.get(key) is not flow:
            return
        made = socket.socket(socket.AF_INET6 if ":" in target[0] else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            made.setblocking(False)
            made.connect(target)
        except OSError:
            made.close()
            return
        flow.outside = made
        self._loop.add_reader(made, self._answered, flow, made)
        for data in waiting:
            self._pass_on(made, data)

    def _answered(self, flow: Flow, outside: socket.socket) -> None:
        for _ in range(_READS_MAX):
            try:
                data = outside.recv(_DATAGRAM_BYTES)
            except BlockingIOError:
                return
            except OSError:
                continue  # refused, unreachable: as good as lost
            flow.used_s = self._loop.time()
            self._count(IN, len(data))
            with contextlib.suppress(OSError):
                self._reply(flow, data)

    def _reply(self, flow: Flow, data: bytes) -> None:
        packet = packets.datagram(flow.to, flow.sender, data)
        if len(flow.sender.address) == 4:
            self._answers[0].sendto(packet, (socket.inet_ntop(socket.AF_INET, flow.sender.address), 0))
        else:
            self._answers[1].sendto(packet, (socket.inet_ntop(socket.AF_INET6, flow.sender.address), 0))

    def _drop(self, key: tuple[End, End]) -> None:
        flow = self._flows.pop(key)
        flow.waiting = None
        if flow.outside is not None:
            self._loop.remove_reader(flow.outside)
            flow.outside.close()


def _original(ancillary: list[tuple[int, int, bytes]]) -> End | None:
    """Where a datagram was sent to."""
    for level, kind, raw in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, _IP_ORIGINAL) and len(raw) >= 8:
            return End(raw[4:8], struct.unpack_from(">H", raw, 2)[0])
        if (level, kind) == (socket.IPPROTO_IPV6, _IPV6_ORIGINAL) and len(raw) >= 24:
            return End(raw[8:24], struct.unpack_from(">H", raw, 2)[0])
    return None
