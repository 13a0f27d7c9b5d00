"""A reply that goes both ways: the bytes of an upgraded connection, between a client and a program in an instance.

Each side may send a window's worth of bytes beyond what the other has passed on; then it waits for credit. So a slow
client or program is waited for by TCP itself, end to end, while the channel goes on for the others on the instance.
What lies in the node is bounded: a window each way, and one read of the client's socket.
"""

from __future__ import annotations

from collections.abc import Callable

from functory.instances.channel import Channel
from functory.instances.reply import Reply
from functory.runtimes import wire

_WINDOW = wire.WINDOW_BYTES
_GRANT = _WINDOW // 4
"""Credit is given in parts of this size: a frame for each piece would be more work than the piece."""
_PIECE = wire.PIECE_BYTES
_BODY, _CREDIT, _CANCEL = int(wire.Type.BODY), int(wire.Type.CREDIT), int(wire.Type.CANCEL)
_END = int(wire.Flag.END)


class Duplex(Reply):
    """The node's end. Implements `model.invocation.TwoWay`."""

    __slots__ = ("_credit", "_ended", "_held", "_owed", "_paused", "_stream", "on_room", "sent_bytes")

    def __init__(self, channel: Channel, stream: int, head_bytes: int) -> None:
        """`head_bytes`: length of the answer's head, which comes first and is no part of the window."""
        super().__init__(channel, size_bytes=None, exclusive=False, most_bytes=_WINDOW + head_bytes)
        self._stream = stream
        self._credit = _WINDOW
        self._held = b""
        self._ended = False
        self._owed = -head_bytes
        self._paused = False
        self.on_room: Callable[[], None] | None = None
        self.sent_bytes = 0
        """What the client sent."""

    # --- from the instance to the client ------------------------------------------------------------------------------

    def feed(self, piece: bytes) -> None:
        super().feed(piece)
        self._owed += len(piece)
        self._grant()

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._grant()

    def _grant(self) -> None:
        if self._owed >= _GRANT and not self._paused and self.complete is None:
            self.most_bytes += self._owed
            self._channel.send(wire.frame(self._stream, _CREDIT, 0, self._owed, b"", b""))
            self._owed = 0

    # --- from the client to the instance ------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        return bool(self._held)

    def send(self, data: bytes) -> None:
        self.sent_bytes += len(data)
        self._held += data
        self._pass_on()

    def end_sending(self) -> None:
        self._ended = True
        self._pass_on()

    def credit(self, more_bytes: int) -> None:
        """The instance has passed on so many bytes."""
        self._credit = min(self._credit + more_bytes, _WINDOW)
        waited = bool(self._held)
        self._pass_on()
        if waited and not self._held and self.on_room is not None:
            self.on_room()

    def _pass_on(self) -> None:
        if self.complete is not None:
            self._held = b""
            return
        now, self._held = self._held[: self._credit], self._held[self._credit :]
        self._credit -= len(now)
        for start in range(0, len(now), _PIECE):
            self._channel.send(wire.frame(self._stream, _BODY, 0, 0, b"", now[start : start + _PIECE]))
        if self._ended and not self._held:
            self._ended = False
            self._channel.send(wire.frame(self._stream, _BODY, _END, 0, b"", b""))

    def cancel(self) -> None:
        super().cancel()
        if self.complete is None:
            self._channel.send(wire.frame(self._stream, _CANCEL, 0, 0, b"", b""))

    def finish(self, complete: bool) -> None:
        self._held = b""
        super().finish(complete)
