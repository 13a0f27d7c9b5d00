"""The function's own program: its start, what it prints, its end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import stat

from . import frames, loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_CODE = "/code/"
_READ_BYTES = 65536
_SET_PIPE_BYTES = 1031  # fcntl.F_SETPIPE_SZ, which Python 3.9 does not name
PIPE_BYTES = 1 << 18
"""So much a program may print without waiting: what Node.js cannot write at once, it writes after its answer."""
_LINE_BYTES = 8192
"""A line longer than this is sent in parts."""
_READS = 64
"""Reads of the log in one go: a flood must not keep the requests waiting."""


class NotStarted(Exception):
    """The program cannot be run; the message says why and what to do."""


def place(words: list[str], code_dir: str) -> list[str]:
    """The words of a command. `/code/` at the start of one is the code folder, whatever that is called here."""
    return [os.path.join(code_dir, word[len(_CODE) :]) if word.startswith(_CODE) else word for word in words]


def start(command: list[str], code_dir: str, log_fd: int, inside: str = "code") -> int:
    """Runs the program in the working folder, with this process's environment; its process number.

    `inside`: what the program is looked for in, as messages call it.
    """
    argv = place(command, code_dir)
    path = _find(argv[0], command[0], inside)
    actions = [(os.POSIX_SPAWN_DUP2, log_fd, 1), (os.POSIX_SPAWN_DUP2, log_fd, 2)]
    try:
        # Python ignores these two signals; a program must not inherit that.
        ignored = (signal.SIGPIPE, signal.SIGXFSZ)
        return os.posix_spawn(path, argv, os.environ, file_actions=actions, setsigdef=ignored)
    except OSError as failure:
        why = failure.strerror
        if isinstance(failure, FileNotFoundError):
            why = "the interpreter in its #! line is not on this machine"
        elif failure.errno == 8:
            why = "it has no #! line, or was built for another machine"
        raise NotStarted(f"'{command[0]}' cannot be run: {why}") from failure


def _find(name: str, said: str, inside: str) -> str:
    if "/" in name:
        candidates = [name]
    else:
        candidates = [os.path.join(folder, name) for folder in os.environ.get("PATH", os.defpath).split(":")]
    for path in candidates:
        try:
            mode = os.stat(path).st_mode
        except OSError:
            continue
        if stat.S_ISREG(mode) and os.access(path, os.X_OK):
            return path
        if "/" in name:
            raise NotStarted(f"'{said}' is not an executable file: chmod +x it before it is packed")
    if "/" in name:
        raise NotStarted(f"'{said}' is not in the {inside}")
    where = "on this machine" if inside == "code" else f"in the {inside}"
    raise NotStarted(f"there is no program '{said}' {where}")


class Printed:
    """What the program prints, as LOG frames: each line goes to the request it belongs to.

    With one request open that is this one; with several, the one whose id stands in the line, or else the one that
    began last.
    """

    def __init__(self, events: loop.Loop, pipe: frames.Pipe) -> None:
        self._pipe = pipe
        self._partial = b""
        self._last_stream = 0
        self.open: dict[int, bytes] = {}
        """Request ids by stream, in the order in which they began."""
        self.tail = b""
        """The last lines it printed."""
        self._fd, self.write_fd = os.pipe2(os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # over the user's limit: the size stays as it is
            fcntl.fcntl(self._fd, _SET_PIPE_BYTES, PIPE_BYTES)
        os.set_blocking(self._fd, False)
        events.watch(self._fd, loop.IN, lambda _: self.drain())
        self._loop = events

    def drain(self) -> None:
        """Passes on what was printed so far."""
        for _ in range(_READS):
            if self._fd < 0:
                return
            try:
                data = os.read(self._fd, _READ_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            if not data:
                self._loop.forget(self._fd)
                os.close(self._fd)
                self._fd = -1
                return
            self._lines(data)
            if len(data) < _READ_BYTES:
                return  # that was all: a pipe gives what it holds

    def close_write_end(self) -> None:
        """The program has its own."""
        if self.write_fd >= 0:
            os.close(self.write_fd)
            self.write_fd = -1

    def begin(self, stream: int, request_id: bytes) -> None:
        """A request begins; what was printed before is not its."""
        self.drain()
        self.open[stream] = request_id

    def finish(self, stream: int) -> None:
        """A request is answered: a line it has not ended is ended with it."""
        self.drain()
        if self._partial and (len(self.open) == 1 or self._owner(self._partial) == stream):
            self._send(stream, self._partial)
            self._partial = b""
        self.open.pop(stream, None)

    def flush(self) -> None:
        """The program has ended."""
        self.drain()
        if self._partial:
            self._send(self._owner(self._partial), self._partial)
            self._partial = b""

    def _lines(self, data: bytes) -> None:
        data = self._partial + data
        cut = data.rfind(b"\n") + 1
        if len(data) - cut > _LINE_BYTES:
            cut = len(data)
        whole, self._partial = data[:cut], data[cut:]
        if not whole:
            return
        if len(self.open) <= 1:
            self._send(next(iter(self.open), 0), whole)
            return
        for line in whole.splitlines(True):
            self._send(self._owner(line), line)

    def _owner(self, line: bytes) -> int:
        found = last = 0
        for stream, request_id in self.open.items():
            if request_id in line:
                found = stream
            last = stream
        return found or last

    def _send(self, stream: int, text: bytes) -> None:
        self.tail = (self.tail + text)[-2048:]
        for at in range(0, len(text), frames.PIECE_BYTES // 2):
            piece = text[at : at + frames.PIECE_BYTES // 2]
            self._pipe.write(frames.frame(stream, frames.LOG, 0, 0, b"", piece))


class Child:
    """The running program."""

    def __init__(self, events: loop.Loop, pid: int, on_end: Callable[[int], Any]) -> None:
        """`on_end` gets the wait status."""
        self.pid = pid
        self._loop = events
        self._on_end = on_end
        self._pidfd = os.pidfd_open(pid)
        events.watch(self._pidfd, loop.IN, self._ended)

    def terminate(self) -> None:
        """Asks it to end."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it."""
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        if self._pidfd >= 0:
            signal.pidfd_send_signal(self._pidfd, number)

    def _ended(self, _: int) -> None:
        _, status = os.waitpid(self.pid, 0)
        self._loop.forget(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        self._on_end(status)


def describe(status: int) -> str:
    """`exit code 3`, or `signal 11`."""
    return f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit code {os.WEXITSTATUS(status)}"


def end_like(status: int) -> int:
    """The exit code to end with as the program did; by its signal, this does not return."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    return os.WEXITSTATUS(status)
