"""The networks that a boxed zygote's helper has made ahead, as the maker of boxes holds them."""

from __future__ import annotations

import os
import socket
import struct
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from functory.sandbox import networks
from functory.sandbox.base import SandboxError

Kind = Literal["none", "allow"]
Key = tuple[Kind, str]
"""The kind, and the rules that are in force already."""
STOCK = 2
"""Networks of a kind that has been used. Each takes about 200 kB of the kernel's memory."""
POLICIES = 8
"""Policies for which networks stand ready, with their rules in force: that takes a millisecond on a busy machine."""
ANSWER_LIMIT_S = 10
_MOST_FDS = 1 + networks.SOCKETS


class Network(NamedTuple):
    """A namespace that nobody lives in yet."""

    namespace: int
    """A descriptor of it."""
    sockets: Sequence[int]
    """Made in it, for the relay; empty but for `allow`."""
    rules: str = ""
    """What still has to be put in force, by whoever enters it first."""

    def close(self) -> None:
        """Gives all of it back."""
        for fd in (self.namespace, *self.sockets):
            os.close(fd)


class NetStock:
    """Asks the helper, and keeps some in stock. The helper is started when the first network is asked for."""

    def __init__(self, start: Callable[[socket.socket], None]) -> None:
        """`start`: gives a socket to a new helper."""
        self._start = start
        self._control: socket.socket | None = None
        self._ready: OrderedDict[Key, deque[Network]] = OrderedDict()
        """The one asked for longest ago first."""

    def take(self, kind: Kind, rules: str = "") -> Network:
        """A network that is the taker's; `SandboxError` if this kernel cannot make one."""
        if rules:
            ready = self._wanted((kind, rules))
            if ready:
                return ready.popleft()
        ready = self._wanted((kind, ""))
        bare = ready.popleft() if ready else self._make((kind, ""))
        return bare._replace(rules=rules)

    def _wanted(self, key: Key) -> deque[Network]:
        ready = self._ready.setdefault(key, deque())
        self._ready.move_to_end(key)
        if len(self._ready) > POLICIES:
            _, forgotten = self._ready.popitem(last=False)
            for network in forgotten:
                network.close()
        return ready

    @property
    def short(self) -> bool:
        """Whether `refill` has something to do."""
        return any(len(ready) < STOCK for ready in self._ready.values())

    def refill(self) -> None:
        """Makes one more; a kind that cannot be made is not tried again ahead of need."""
        for key, ready in self._ready.items():
            if len(ready) < STOCK:
                try:
                    ready.append(self._make(key))
                except SandboxError:
                    del self._ready[key]
                return

    def close(self) -> None:
        """Gives all back; the helper ends."""
        for ready in self._ready.values():
            for network in ready:
                network.close()
        self._ready.clear()
        self._drop()

    def _make(self, key: Key) -> Network:
        kind = key[0]
        try:
            data, fds = self._ask(" ".join(key))
        except OSError as failure:
            self._drop()
            raise SandboxError(f"no network can be made: {failure}") from failure
        if data != b"!" or not fds:
            if not data:
                self._drop()
            why = data.decode(errors="replace") or "the helper has ended"
            raise SandboxError(f"the network '{kind}' cannot be made on this kernel: {why}")
        return Network(fds[0], tuple(fds[1:]))

    def _ask(self, wanted: str) -> tuple[bytes, list[int]]:
        if self._control is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", ANSWER_LIMIT_S, 0))
            self._control = ours
            try:
                self._start(theirs)
            finally:
                theirs.close()
        self._control.sendall(wanted.encode())
        data, fds, _, _ = socket.recv_fds(self._control, 4096, _MOST_FDS, socket.MSG_CMSG_CLOEXEC)
        return data, fds

    def _drop(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
