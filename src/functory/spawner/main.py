"""The spawner's loop: one control socket, and the descriptors of the back end.

Single-threaded on purpose: it forks, and a thread's lock held at that moment would stay locked in the child for ever.
Its end is the end of the control socket, never a signal: a supervisor's SIGTERM is the node's to act on.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Protocol

import msgspec

from functory.sandbox import hardened, tiers
from functory.sandbox.base import SandboxError
from functory.sandbox.namespace import NamespaceSandboxes
from functory.sandbox.process import ProcessSandboxes
from functory.sandbox.safe import SafeSandbox, SafeSandboxes
from functory.spawner import protocol

_LIFELINE_FROM = 10
"""Lowest number of the copy of the control socket that zygotes keep: below are the numbers they arrange."""
QUIET_MS = 5
"""After so long without a message, what was taken from stock is replaced: it must not get in the way of a start."""


class Stock(Protocol):
    """What a back end keeps ready."""

    @property
    def short(self) -> bool:
        """Whether something is missing."""

    def refill(self) -> None:
        """Makes one more; may take milliseconds."""


class Loop:
    """Serves one node."""

    def __init__(self, control: socket.socket, maker: SafeSandboxes, stock: Stock | None = None) -> None:
        """`stock`: filled up in quiet moments."""
        self._control = control
        self._maker = maker
        self._stock = stock
        self._stopping = False

    def run(self) -> None:
        """Returns when the node asks for it or is gone."""
        try:
            while not self._stopping:
                poller = select.poll()
                for fd in (self._control.fileno(), *self._maker.fileno()):
                    poller.register(fd, select.POLLIN)
                short = self._stock is not None and self._stock.short
                readable = {fd for fd, _ in poller.poll(QUIET_MS if short else None)}
                if not readable and self._stock is not None:
                    self._stock.refill()
                if self._control.fileno() in readable and not self._receive():
                    break
                self._tell_ends()
        except (BrokenPipeError, ConnectionResetError):
            pass  # the node is gone
        finally:
            self._maker.close()
        self._say_goodbye()

    def say(self, answer: protocol.Answer) -> None:
        """Sends one message."""
        self._control.sendall(protocol.encode(answer))

    def _receive(self) -> bool:
        data, fds, _, _ = socket.recv_fds(self._control, protocol.MESSAGE_BYTES, protocol.SPAWN_FDS)
        try:
            if not data:
                return False
            request = protocol.decode_request(data)
            if isinstance(request, protocol.Spawn):
                self._spawn(request, fds)
            elif isinstance(request, protocol.Kill):
                box = self._maker.get(request.id)
                if box is not None:
                    box.kill()
            else:
                self._stopping = True
        finally:
            for fd in fds:
                os.close(fd)
        return True

    def _spawn(self, request: protocol.Spawn, fds: Sequence[int]) -> None:
        name = request.spec.instance_id
        try:
            if len(fds) != protocol.SPAWN_FDS:
                raise SandboxError(f"{len(fds)} descriptors came with the request instead of {protocol.SPAWN_FDS}")
            box = self._maker.create(request.spec, fds, self._maker.get(request.parent))
        except SandboxError as failure:
            self.say(protocol.Failed(id=name, reason=str(failure)))
        else:
            self._say_made(name, box)

    def _say_made(self, name: str, box: SafeSandbox) -> None:
        sockets = box.relayed()
        message = protocol.encode(protocol.Made(id=name, pid=box.pid, files=box.files, gauges=box.gauges))
        if not sockets:
            self._control.sendall(message)
            return
        try:
            socket.send_fds(self._control, [message], sockets)
        finally:
            for fd in sockets:
                os.close(fd)

    def _tell_ends(self) -> None:
        for exit_ in self._maker.reap():
            self.say(protocol.Ended(exit=exit_))

    def _say_goodbye(self) -> None:
        with contextlib.suppress(OSError):  # nobody listens any more
            self._tell_ends()
        self._control.close()


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m functory.spawner", description="Makes instances for a node.")
    parser.add_argument("--control", type=int, required=True, help="the connected SEQPACKET socket")
    parser.add_argument("--prepare", action="append", default=[], help="an interpreter to warm up at once")
    parser.add_argument("--readable", action="append", default=[], help="a folder that functions read")
    parser.add_argument("--isolation", choices=("auto", "namespace", "landlock", "process"), default="process")
    return parser.parse_args(argv)


FORCED = "Namespaces: the setting isolation is '{isolation}'; with 'auto' the node looks for something better."
BackEnd = ProcessSandboxes | NamespaceSandboxes


def _back_end(arguments: argparse.Namespace, lifeline: int) -> BackEnd:
    """The strongest isolation that works and is allowed."""
    why_not = FORCED.format(isolation=arguments.isolation)
    if arguments.isolation in ("auto", "namespace"):
        found = tiers.find(arguments.prepare[0] if arguments.prepare else sys.executable, f"functory-{os.getpid()}")
        if found.tier is not None:
            return NamespaceSandboxes(found.tier, groups=found.groups, lifeline=lifeline)
        why_not = found.why_not
        if arguments.isolation == "namespace":
            raise SandboxError(f"isolation is set to 'namespace', which does not work here: {why_not}")
    return ProcessSandboxes(
        read_by_functions=arguments.readable,
        lifeline=lifeline,
        alone=True,
        why_nothing_better=why_not,
        hard=arguments.isolation != "process" and _can_harden(arguments.isolation),
    )


def _can_harden(isolation: str) -> bool:
    why_not = hardened.find()
    if why_not and isolation == "landlock":
        raise SandboxError(f"isolation is set to 'landlock', which does not work here: {why_not}")
    return not why_not


def _prepare(maker: BackEnd, interpreters: Sequence[str]) -> protocol.Ready:
    versions, failures = maker.prepare(interpreters)
    tier = maker.tier
    report = protocol.TierReport(name=tier.name, summary=tier.summary, missing=tuple(tier.missing))
    return protocol.Ready(tier=report, versions=versions, failures=failures)


def main(argv: Sequence[str]) -> int:
    """Runs until the node is gone."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    arguments = _arguments(argv)
    control = socket.socket(fileno=arguments.control)
    control.set_inheritable(False)
    control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * protocol.MESSAGE_BYTES)
    # Zygotes hold a copy: the node sees the end of the socket when the spawner and all zygotes are gone.
    lifeline = fcntl.fcntl(control.fileno(), fcntl.F_DUPFD_CLOEXEC, _LIFELINE_FROM)
    if os.geteuid() == 0:
        os.setgroups([])  # what is asked about a user of an instance's own shall not be answered by root's groups
    try:
        back_end = _back_end(arguments, lifeline)
    except SandboxError as failure:
        sys.stderr.write(f"functory spawner: {failure}\n")
        return 1
    maker = SafeSandboxes(back_end)
    loop = Loop(control, maker, back_end if isinstance(back_end, NamespaceSandboxes) else None)
    try:
        loop.say(_prepare(back_end, arguments.prepare))
    except OSError:
        maker.close()
        return 1
    try:
        loop.run()
    except msgspec.MsgspecError as failure:
        sys.stderr.write(f"functory spawner: a message of the node could not be read, so all ends: {failure}\n")
        return 1
    return 0
