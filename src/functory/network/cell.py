"""The relay of one instance: its connections, questions for names, datagrams, and what it was refused."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
from collections.abc import Callable, Sequence

import msgspec

from functory.model.network import Policy
from functory.network import dns, names, packets, tcp
from functory.network import policy as policies
from functory.network.counters import DENIED, IN, OUT
from functory.network.flows import Flows
from functory.network.policy import Address

NAMED_DENIALS_MAX = 64
"""Denied destinations that are named in the log; more are only counted."""
CONNECT_LIMIT_S = 10.0
ATTEMPT_S = 0.25
"""After this the next address of a name is tried too (RFC 8305)."""
_READS_MAX = 32
"""Datagrams of a kind in one turn of the loop: an instance must not hold the others up."""
_BACKLOG = 128
_IP_PKTINFO = 8


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one instance may take of the relay."""

    connections_max: int = 256
    """TCP connections, and as many partners by UDP."""
    idle_s: float = 900.0
    """A connection on which nothing came for so long is closed."""


class Denied(Exception):
    """A destination that the policy has not, or that cannot be reached; the text is for the function's log."""


class Connection:
    """One of its connections."""

    __slots__ = ("inside", "outside", "task")

    def __init__(self, inside: tcp.Side) -> None:
        self.inside = inside
        self.outside: tcp.Side | None = None
        self.task: asyncio.Task[None] | None = None

    def abort(self) -> None:
        """Ends both sides."""
        if self.task is not None:
            self.task.cancel()
        self.inside.abort()
        if self.outside is not None:
            self.outside.abort()


class Cell:
    """One instance's. `start` first; `close` ends everything."""

    def __init__(
        self, policy: Policy, fds: Sequence[int], numbers: memoryview, place: int, limits: Limits,
        tell: Callable[[str], None],
    ) -> None:  # fmt: skip
        """`fds`: its sockets, from now on this cell's. `numbers`: where it counts. `tell`: its log."""
        self._policy = policy
        self._sockets = [socket.socket(fileno=fd) for fd in fds]
        for one in self._sockets:
            one.setblocking(False)
        self._numbers = numbers
        self._place = place
        self._limits = limits
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._names = names.Names(policy, self._loop)
        self._connections: set[Connection] = set()
        self._told: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._flows: Flows | None = None

    async def start(self) -> None:
        """Serves it."""
        relayed, asked, reports = self._sockets[:3]
        self._server = await self._loop.create_server(self._accept, sock=relayed, backlog=_BACKLOG)
        self._loop.add_reader(asked, self._questions)
        self._loop.add_reader(reports, self._reports)
        if len(self._sockets) > 3:
            self._flows = Flows(
                self._sockets[3], self._sockets[4:], self._route_datagram, self._count, self._limits.connections_max
            )
            self._loop.add_reader(self._sockets[3], self._flows.read)

    def close(self) -> None:
        """Ends all; harmless twice."""
        if self._server is not None:
            self._server.close()
        for one in self._sockets[1:]:
            self._loop.remove_reader(one)
        for connection in list(self._connections):
            connection.abort()
        for task in self._tasks:
            task.cancel()
        if self._flows is not None:
            self._flows.close()
        for one in self._sockets:
            one.close()

    def sweep(self, now_s: float) -> None:
        """Ends what was not used for too long."""
        for connection in list(self._connections):
            sides = (connection.inside, connection.outside)
            used_s = max(side.used_s for side in sides if side is not None)
            if now_s - used_s > self._limits.idle_s:
                connection.abort()
        if self._flows is not None:
            self._flows.sweep(now_s)

    def _count(self, which: int, size: int) -> None:
        self._numbers[self._place + which] += size

    # --- connections --------------------------------------------------------------------------------------------------

    def _accept(self) -> asyncio.Protocol:
        connection: Connection
        place, add = self._place, self._numbers

        def sent(size: int) -> None:
            add[place + OUT] += size

        inside = _Inside(sent, lambda: self._connections.discard(connection), lambda: self._accepted(connection))
        connection = Connection(inside)
        return inside

    def _accepted(self, connection: Connection) -> None:
        self._connections.add(connection)
        connection.task = self._loop.create_task(self._connect(connection))

    async def _connect(self, connection: Connection) -> None:
        inside = connection.inside
        assert isinstance(inside, _Inside)
        try:
            if len(self._connections) > self._limits.connections_max:
                raise Denied(f"more than {self._limits.connections_max} connections at once")
            outside = await self._reach(policies.parse(inside.target[0]), inside.target[1])
        except Denied as denied:
            self.denied(str(denied))
            inside.abort()
            return
        finally:
            connection.task = None
        if inside.closed:
            outside.abort()
            return
        connection.outside = outside
        inside.join(outside)
        outside.join(inside)

    async def _reach(self, address: Address, port: int) -> tcp.Side:
        """A connection to what an address inside means."""
        what, candidates = await self._resolve(address, port, "tcp")
        place, add = self._place, self._numbers

        def received(size: int) -> None:
            add[place + IN] += size

        failures: list[str] = []
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                for one in candidates:
                    try:
                        _, side = await self._loop.create_connection(
                            lambda: tcp.Side(received, lambda: None), str(one), port
                        )
                    except OSError as failure:
                        failures.append(f"{one}: {os.strerror(failure.errno) if failure.errno else failure}")
                    else:
                        return side
        except TimeoutError:
            failures.append(f"no answer in {CONNECT_LIMIT_S:.0f} s")
        raise Denied(f"{what} cannot be reached ({'; '.join(failures)[:300]})")

    async def _resolve(self, address: Address, port: int, protocol: str) -> tuple[str, Sequence[Address]]:
        """How a log names it, and where it really is; `Denied`."""
        policy, entry = self._policy, self._names.at(address)
        if entry is None:
            what = f"{_shown(address)}:{port}/{protocol}"
            if not policies.allows_address(policy, address, port, protocol):
                raise Denied(f"{what} is not allowed by {policy.title}")
            return what, [address]
        what = f"{entry.name}:{port}/{protocol}"
        if not policies.allows_name(policy, entry.name, port, protocol):
            raise Denied(f"{what} is not allowed by {policy.title}")
        try:
            found = await self._names.addresses(entry)
        except (names.NoSuchName, names.Busy):
            raise Denied(f"{what}: the name cannot be resolved") from None
        allowed = [one for one in found if self._may(one, port, protocol)]
        if not allowed:
            raise Denied(f"{what} leads to {found[0]}, which no network of {policy.title} has")
        return what, allowed

    def _may(self, address: Address, port: int, protocol: str) -> bool:
        nodes = names.is_nodes(address)
        return policies.allows_resolved(self._policy, address, port, protocol, is_nodes=nodes)

    # --- names --------------------------------------------------------------------------------------------------------

    def _questions(self) -> None:
        for _ in range(_READS_MAX):
            try:
                data, ancillary, _, sender = self._sockets[1].recvmsg(dns.MESSAGE_BYTES, 256)
            except OSError:
                return
            question = dns.parse(data)
            if question is not None:
                self._asked(question, sender, _reply_from(ancillary))

    def _asked(self, question: dns.Question, sender: object, control: list[tuple[int, int, bytes]]) -> None:
        if not policies.names(self._policy, question.name):
            if not question.name.endswith(".arpa"):
                self.denied(f"the name {question.name} is not allowed by {self._policy.title}")
            self._answer(dns.answer(question, dns.NO_SUCH_NAME), sender, control)
        elif len(self._tasks) < names.LOOKUPS_MAX * 4:
            task = self._loop.create_task(self._look_up(question, sender, control))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _look_up(self, question: dns.Question, sender: object, control: list[tuple[int, int, bytes]]) -> None:
        entry = self._names.entry(question.name)
        try:
            await self._names.addresses(entry)
        except names.NoSuchName:
            reply = dns.answer(question, dns.NO_SUCH_NAME)
        except names.Busy:
            reply = dns.answer(question, dns.SERVER_FAILURE)
        else:
            # The relay finds out itself which family leads there: one address is enough, and there is one of version 4.
            reply = dns.answer(question, addresses=(entry.stand_in.packed,) if question.kind == dns.A else ())
        self._answer(reply, sender, control)

    def _answer(self, data: bytes, sender: object, control: list[tuple[int, int, bytes]]) -> None:
        with contextlib.suppress(OSError):
            self._sockets[1].sendmsg([data], control, 0, sender)  # type: ignore[arg-type]

    # --- datagrams ----------------------------------------------------------------------------------------------------

    async def _route_datagram(self, to: packets.End) -> tuple[str, int] | None:
        """Where datagrams to this address go; None = nowhere."""
        try:
            _, found = await self._resolve(ipaddress.ip_address(to.address), to.port, "udp")
        except Denied as denied:
            self.denied(str(denied))
            return None
        return str(found[0]), to.port

    # --- refusals -----------------------------------------------------------------------------------------------------

    def _reports(self) -> None:
        for _ in range(_READS_MAX):
            try:
                raw = self._sockets[2].recv(1 << 16)
            except BlockingIOError:
                return
            except OSError:
                continue  # more reports than the socket could hold: what is lost is lost
            for refused in packets.reports(raw):
                self._refused(refused)

    def _refused(self, refused: packets.Refused) -> None:
        address = policies.parse(str(ipaddress.ip_address(refused.to.address)))
        entry = self._names.at(address)
        where = entry.name if entry is not None else _shown(address)
        port = f":{refused.to.port}" if refused.to.port else ""
        self.denied(f"{where}{port}/{refused.protocol} is not allowed by {self._policy.title}")

    def denied(self, what: str) -> None:
        """Counts it, and names it in the log once."""
        self._numbers[self._place + DENIED] += 1
        if what in self._told or len(self._told) > NAMED_DENIALS_MAX:
            return
        self._told.add(what)
        if len(self._told) > NAMED_DENIALS_MAX:
            what = f"more than {NAMED_DENIALS_MAX} destinations were denied; the others are counted, not named"
        self._tell(what)


class _Inside(tcp.Side):
    """The function's end: it knows what was connected to."""

    def __init__(self, count: Callable[[int], None], ended: Callable[[], None], made: Callable[[], None]) -> None:
        super().__init__(count, ended)
        self._made = made
        self.target = ("", 0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.target = transport.get_extra_info("sockname")[:2]
        self._made()


def _shown(address: Address) -> str:
    return f"[{address}]" if address.version == 6 else str(address)


def _reply_from(ancillary: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """The answer comes from the address that was asked, or it is not believed."""
    replies = []
    for level, kind, raw in ancillary:
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            replies.append((level, kind, raw[:16] + bytes(4)))
        elif (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO) and not replies:
            replies = [(level, kind, bytes(4) + raw[8:12] + bytes(4))]
    if len(replies) > 1:
        replies = [one for one in replies if one[0] == socket.IPPROTO_IPV6]
    return replies
