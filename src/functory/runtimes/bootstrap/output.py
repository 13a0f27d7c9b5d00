"""What Python code prints, as LOG frames of the request that prints it.

`print`, `sys.stdout`, `sys.stderr` and `logging` come here. What is written to the descriptors 1 and 2 themselves (by C
code, by other programs) goes into the log pipe. That pipe stays blocking: the flag would be shared with every program a
function starts, and those fail on it; the node always reads it.

A line is sent when it is complete, at once: whoever hangs in the next line shall have this one in his log.
"""

from __future__ import annotations

import io
import json
import os
import sys

from . import context, frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

REQUEST_BYTES = 1 << 20
"""What one request may print; the rest is counted."""
_PIECE_BYTES = 32768
_LINE_BYTES = 8192
"""A line longer than this is sent in parts."""


class Log:
    """What one request has printed so far. `used` is 0 as long as it printed nothing."""

    __slots__ = ("context", "dropped", "partial", "stream", "used")

    def __init__(self, stream: int) -> None:
        self.stream = stream
        self.context: context.Context | None = None
        self.used = 0
        self.dropped = 0
        self.partial = b""


class Output:
    """Sends text. `current` answers whose it is."""

    def __init__(self, pipe: frames.Pipe) -> None:
        self._pipe = pipe
        self.log = Log(0)
        """In blocking mode all text is this one's; its stream changes with each request."""
        self.current: Callable[[], Log] = lambda: self.log
        self.raw_fd = 2
        """Where text goes while there is no channel: before an instance begins, and in what its function forks."""

    def install(self) -> None:
        """Takes the place of standard output and error."""
        for name, fd in (("stdout", 1), ("stderr", 2)):
            setattr(sys, name, text_file(self, fd))

    def request_id(self) -> str:
        """The id of the request at hand, `-` outside any."""
        log = self.current()
        return log.context.request_id if log.stream and log.context is not None else "-"

    def write(self, data: bytes) -> None:
        """Sends the whole lines, keeps the rest."""
        if self.raw_fd >= 0:
            os.write(self.raw_fd, data)
            return
        log = self.current()
        room = REQUEST_BYTES - log.used
        log.used += len(data)
        if len(data) > room:
            room = max(room, 0)
            log.dropped += len(data) - room
            data = data[:room]
            if not data:
                return
        if log.partial:
            data = log.partial + data
        cut = data.rfind(b"\n") + 1
        if len(data) - cut > _LINE_BYTES:
            cut = len(data)
        log.partial = data[cut:]
        if cut:
            self._send(log.stream, data[:cut])

    def finish(self, log: Log) -> None:
        """The request is over: sends what is left, and begins anew."""
        if log.dropped:
            log.partial += b"\n[... %d bytes of output dropped: one request may print %d bytes ...]\n" % (
                log.dropped,
                REQUEST_BYTES,
            )
        if log.partial:
            self._send(log.stream, log.partial)
        log.used = log.dropped = 0
        log.partial = b""

    def note(self, value: object) -> None:
        """Tells the node how far the request at hand is; ValueError for what is not JSON or longer than allowed."""
        try:
            text = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
        except (TypeError, RecursionError) as failure:
            raise ValueError(f"progress is not JSON: {failure}") from None
        if len(text) > frames.NOTE_BYTES:
            raise ValueError(f"progress of {len(text)} bytes: at most {frames.NOTE_BYTES} are allowed")
        stream = self.current().stream
        if stream and self.raw_fd < 0:
            try:  # noqa: SIM105 - contextlib would cost every instance its import
                self._pipe.write(frames.frame(stream, frames.NOTE, 0, 0, b"", text))
            except frames.Gone:
                pass  # as for text

    def _send(self, stream: int, data: bytes) -> None:
        try:
            for start in range(0, len(data), _PIECE_BYTES):
                self._pipe.write(frames.frame(stream, frames.LOG, 0, 0, b"", data[start : start + _PIECE_BYTES]))
        except frames.Gone:
            pass  # the node is gone, or the function closed the pipe: the loop finds out


class _Raw(io.RawIOBase):
    """The file below `sys.stdout`."""

    def __init__(self, output: Output, fd: int) -> None:
        super().__init__()
        self._output = output
        self._fd = fd
        self.name = "<stdout>" if fd == 1 else "<stderr>"

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        text = bytes(data)  # type: ignore[call-overload]
        self._output.write(text)
        return len(text)

    def fileno(self) -> int:
        """Programs that get this file write to the log pipe."""
        return self._fd


def text_file(out: Output, fd: int) -> io.TextIOWrapper:
    """A text file that writes to `out`; `fileno()` gives `fd`."""
    # TextIOWrapper is content with a raw file: every write reaches it at once.
    return io.TextIOWrapper(_Raw(out, fd), encoding="utf-8", errors="backslashreplace", write_through=True)
