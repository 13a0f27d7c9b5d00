"""The relay's process: connects instances to what their policies allow. `python -m functory.network` by the node.

A process of its own, for two reasons: bytes that a function moves never wait in the loop that takes calls, nor calls
behind them; and what handles everybody's traffic needs no right at all, so it gives up the node's user where it can.

Its end is the end of its socket. If it dies the node starts another and gives it the sockets again: connections break,
nothing else does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import encodings.idna  # noqa: F401 - looked up by name, when files may be out of reach already
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence

import msgspec
import uvloop

from functory.network import protocol
from functory.network.cell import Cell, Limits
from functory.network.counters import Counters
from functory.sandbox import networks

SWEEP_S = 10.0


class Relay:
    """All cells. Runs until the node is gone."""

    def __init__(self, control: socket.socket, counters: Counters, limits: Limits) -> None:
        self._control = control
        self._counters = counters
        self._limits = limits
        self._cells: dict[str, Cell] = {}
        self._loop = asyncio.get_running_loop()
        self._gone = asyncio.Event()

    async def run(self) -> None:
        """Returns when the node is gone."""
        self._control.setblocking(False)
        self._loop.add_reader(self._control, self._read)
        self._say(protocol.Ready())
        sweeping = self._loop.create_task(self._sweep())
        await self._gone.wait()
        sweeping.cancel()
        self._loop.remove_reader(self._control)
        for cell in self._cells.values():
            cell.close()

    def _read(self) -> None:
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(
                    self._control, protocol.MESSAGE_BYTES, networks.SOCKETS, socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return
            except OSError:
                data, fds = b"", []
            if not data:
                self._gone.set()
                return
            request = protocol.decode_request(data)
            if isinstance(request, protocol.Attach):
                self._attach(request, fds)
            else:
                cell = self._cells.pop(request.id, None)
                if cell is not None:
                    cell.close()

    def _attach(self, request: protocol.Attach, fds: Sequence[int]) -> None:
        def tell(what: str) -> None:
            self._say(protocol.Denied(id=request.id, what=what))

        cell = Cell(request.policy, fds, self._counters.numbers, request.place, self._limits, tell)
        self._cells[request.id] = cell
        task = self._loop.create_task(cell.start())
        task.add_done_callback(lambda done: _say_if_broken(request.id, done))

    def _say(self, answer: protocol.Ready | protocol.Denied) -> None:
        with contextlib.suppress(OSError):  # a node that does not read loses a line of a log
            self._control.send(protocol.encode(answer))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            now_s = self._loop.time()
            for cell in list(self._cells.values()):
                cell.sweep(now_s)


def _say_if_broken(name: str, done: asyncio.Task[None]) -> None:
    if not done.cancelled() and done.exception() is not None:
        sys.stderr.write(f"functory relay: instance {name} has no network: {done.exception()}\n")


async def _serve(control: socket.socket, counters: Counters, limits: Limits) -> None:
    await Relay(control, counters, limits).run()


def _give_up_rights(uid: int) -> None:
    """Becomes a user who owns nothing, where that is possible."""
    if uid and os.geteuid() == 0:
        with contextlib.suppress(OSError):
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)


def main(argv: Sequence[str]) -> int:
    """Runs until the node is gone."""
    parser = argparse.ArgumentParser(prog="python -m functory.network", description="Relays instances' networks.")
    parser.add_argument("--control", type=int, required=True, help="the connected SEQPACKET socket")
    parser.add_argument("--counters", type=int, required=True, help="the shared numbers")
    parser.add_argument("--uid", type=int, default=0, help="the user to become")
    parser.add_argument("--connections", type=int, required=True, help="connections of an instance at once")
    parser.add_argument("--idle", type=float, required=True, help="seconds until an idle connection is closed")
    arguments = parser.parse_args(argv)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    control = socket.socket(fileno=arguments.control)
    counters = Counters(arguments.counters)
    for fd in (arguments.control, arguments.counters):
        os.set_inheritable(fd, False)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    _give_up_rights(arguments.uid)
    limits = Limits(connections_max=arguments.connections, idle_s=arguments.idle)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(control, counters, limits))
    except msgspec.MsgspecError as failure:
        sys.stderr.write(f"functory relay: a message of the node could not be read, so all ends: {failure}\n")
        return 1
    return 0
