"""A reply that is passed on while it comes: cut-through, with backpressure where that is safe.

An instance that runs one invocation at a time has the channel to itself, so a slow client simply stops the reads. An
instance shared by several invocations must never be stopped for one of them: its reply is taken as it comes, bounded
by the reply limit.
"""

from __future__ import annotations

from collections.abc import Callable

from functory.instances.channel import Channel
from functory.model.invocation import Sink
from functory.model.pieces import Pieces


class Reply:
    """The node's end of a streamed reply. Implements `model.invocation.ReplyStream`."""

    __slots__ = (
        "_cancelled",
        "_channel",
        "_early",
        "_exclusive",
        "_finished",
        "_sink",
        "_size",
        "complete",
        "most_bytes",
        "received_bytes",
    )

    def __init__(self, channel: Channel, *, size_bytes: int | None, exclusive: bool, most_bytes: int) -> None:
        """`most_bytes`: where no length is announced, how long it may become."""
        self._channel = channel
        self._size = size_bytes
        self._exclusive = exclusive
        self._sink: Sink | None = None
        self._early = Pieces()
        self._finished: list[Callable[[], None]] = []
        self._cancelled = False
        self.complete: bool | None = None
        """None while bytes may come; then whether the reply was whole."""
        self.most_bytes = most_bytes if size_bytes is None else size_bytes
        """An instance that sends more than this breaks the protocol."""
        self.received_bytes = 0

    @property
    def size_bytes(self) -> int | None:
        return self._size

    def start(self, sink: Sink) -> None:
        self._sink = sink
        for piece in self._early.take():
            sink.write(bytes(piece))
        if self.complete is not None:
            sink.end(self.complete)

    def pause(self) -> None:
        if self._exclusive:
            self._channel.pause_reading()

    def resume(self) -> None:
        if self._exclusive:
            self._channel.resume_reading()

    def cancel(self) -> None:
        self._cancelled = True
        self._sink = None
        self._early.take()
        self.resume()

    def finished(self, callback: Callable[[], None]) -> None:
        if self.complete is None:
            self._finished.append(callback)
        else:
            callback()

    def feed(self, piece: bytes) -> None:
        """The instance sent more."""
        self.received_bytes += len(piece)
        if self._sink is not None:
            self._sink.write(piece)
        elif not self._cancelled:
            self._early.add(piece)

    def finish(self, complete: bool) -> None:
        """Nothing more comes."""
        if self.complete is not None:
            return
        self.complete = complete
        callbacks, self._finished = self._finished, []
        for callback in callbacks:
            callback()
        if self._sink is not None:
            self._sink.end(complete)


class Collector:
    """A sink that keeps the whole reply: for callers that need it in one piece."""

    def __init__(self, done: Callable[[bytes, bool], None]) -> None:
        self._pieces = Pieces()
        self._done = done

    def write(self, piece: bytes) -> None:
        self._pieces.add(piece)

    def end(self, complete: bool) -> None:
        self._done(self._pieces.joined(), complete)
