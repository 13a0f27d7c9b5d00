"""What all three modes of serving share: the function, its context, the channel, what it prints."""

from __future__ import annotations

import json
import os

from . import context, fault, frames, output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_to_json = json.JSONEncoder(ensure_ascii=False).encode
_NOT_STREAMED = (str, bytes, bytearray, memoryview, dict, list, tuple)


class Instance:
    """A loaded function and its channel."""

    def __init__(
        self,
        read_fd: int,
        pipe: frames.Pipe,
        out: output.Output,
        handler: Callable[..., Any],
        concurrency: int,
    ) -> None:
        self.read_fd = read_fd
        self.pipe = pipe
        self.out = out
        self.handler = handler
        self.concurrency = concurrency

    def context_for(self, flags: int, meta: bytes) -> context.Context:
        """The context of a request."""
        made = context.Context()
        if flags & frames.META:
            context.describe(made, *frames.read_meta(meta))
        else:
            made.request_id = meta.decode()
        return made

    def leave_if_forked(self) -> None:
        """Ends a process that a function forked and that came back here: the channel and the loop are its parent's."""
        if self.out.raw_fd >= 0:
            os._exit(0)


def body(result: object) -> bytes | memoryview:
    """What a handler returned as bytes; `Refused` if it cannot be."""
    if isinstance(result, bytes):
        data: bytes | memoryview = result
    elif isinstance(result, str):
        data = result.encode()
    elif isinstance(result, (bytearray, memoryview)):
        view = memoryview(result)
        data = view.cast("B") if view.c_contiguous else view.tobytes()
    else:
        data = as_json(result).encode()
    if len(data) > frames.REPLY_BYTES:
        raise fault.Refused(
            "ResponseTooLarge",
            f"the answer has {len(data)} bytes, the limit is {frames.REPLY_BYTES}: yield it in pieces to stream it",
            frames.E_TOO_LARGE,
        )
    return data


def as_json(result: object) -> str:
    """JSON of what a handler returned; `Refused` if it cannot be."""
    try:
        return _to_json(result)
    except (TypeError, ValueError, RecursionError) as failure:
        raise fault.Refused(
            "InvalidReturnType",
            f"the handler returned an object of type {type(result).__name__!r}, which is neither bytes nor str and "
            f"cannot be written as JSON: {failure}",
        ) from failure


def is_stream(result: object) -> bool:
    """Whether it is a generator (or another iterator) whose pieces shall flow."""
    return hasattr(result, "__next__") and not isinstance(result, _NOT_STREAMED)


def piece(value: object) -> bytes:
    """One piece of a stream as bytes."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise fault.Refused(
        "InvalidReturnType", f"the handler yielded an object of type {type(value).__name__!r}; only bytes and str flow"
    )


class Stream:
    """A streamed answer: RESP without a length, BODY as it is produced, END."""

    def __init__(self, pipe: frames.Pipe, stream: int, flags: int = 0) -> None:
        self._pipe = pipe
        self._stream = stream
        self._flags = flags
        self._begun = False

    def send(self, data: bytes) -> None:
        """One more piece, sent at once."""
        view = memoryview(data)
        for start in range(0, len(data), frames.PIECE_BYTES):
            kind = frames.BODY if self._begun else frames.RESP
            self._pipe.write(
                frames.frame(self._stream, kind, 0, 0, b"", bytes(view[start : start + frames.PIECE_BYTES]))
            )
            self._begun = True

    def end(self, flags: int = 0) -> None:
        """All pieces are sent."""
        kind = frames.BODY if self._begun else frames.RESP
        self._pipe.write(frames.frame(self._stream, kind, frames.END | (0 if self._begun else flags), 0, b"", b""))


def exit_code(leaving: SystemExit) -> int:
    """The process's exit code for `sys.exit(...)` in a function."""
    code = leaving.code
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 255
    os.write(2, (str(code) + "\n").encode("utf-8", "backslashreplace"))
    return 1
