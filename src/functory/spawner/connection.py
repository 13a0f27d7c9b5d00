"""Messages over the control socket, on the loop's thread."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable

from functory.spawner import pipes, protocol


class Outgoing:
    """A message, and descriptors that go with it: they are closed here once they are on their way."""

    __slots__ = ("data", "fds")

    def __init__(self, data: bytes, fds: tuple[int, ...] = ()) -> None:
        self.data = data
        self.fds = fds

    def drop(self) -> None:
        """Closes the descriptors; harmless twice."""
        fds, self.fds = self.fds, ()
        pipes.close(fds)


class Connection:
    """Sends in order, waiting for room; hands over what comes, then calls `on_end` once."""

    def __init__(
        self, control: socket.socket, on_message: Callable[[bytes, list[int]], None], on_end: Callable[[], None]
    ) -> None:
        self._control = control
        self._on_message = on_message
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._out: deque[Outgoing] = deque()
        self._writing = False
        self._open = True
        control.setblocking(False)
        control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * protocol.MESSAGE_BYTES)
        self._loop.add_reader(control, self._read)

    def send(self, message: Outgoing) -> None:
        """Sends it now or when there is room."""
        if not self._open:
            message.drop()
            return
        self._out.append(message)
        if not self._writing:
            self._write()

    def _write(self) -> None:
        while self._out:
            message = self._out[0]
            try:
                if message.fds:
                    socket.send_fds(self._control, [message.data], message.fds)
                else:
                    self._control.send(message.data)
            except BlockingIOError:
                if not self._writing:
                    self._writing = True
                    self._loop.add_writer(self._control, self._write)
                return
            except OSError:
                break  # the reader sees the end
            self._out.popleft().drop()
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self._control)

    def _read(self) -> None:
        while self._open:
            try:
                data, fds, _, _ = socket.recv_fds(
                    self._control, protocol.MESSAGE_BYTES, protocol.MADE_FDS, socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return
            except OSError:
                data, fds = b"", []
            if data:
                self._on_message(data, fds)
            else:
                self._end()

    def _end(self) -> None:
        self._open = False
        self._loop.remove_reader(self._control)
        if self._writing:
            self._loop.remove_writer(self._control)
        self._control.close()
        while self._out:
            self._out.popleft().drop()
        self._on_end()
