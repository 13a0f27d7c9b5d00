"""A failure as the official error JSON, `{"errorMessage", "errorType", "stackTrace": [...]}`, bounded."""

from __future__ import annotations

import json
import linecache
import os

from . import frames

ERROR_BYTES = 256 << 10
"""The whole JSON is at most this long."""
_MESSAGE_CHARS = 32 << 10
_TRACE_FRAMES = 64
"""Half from the outside, half from the inside of a deep recursion."""
_LINE_CHARS = 400
_HERE = os.path.dirname(os.path.abspath(__file__))
_OUT_OF_MEMORY = b'{"errorMessage": "the function ran out of memory", "errorType": "MemoryError", "stackTrace": []}'


class Refused(Exception):
    """The function did something that the contract does not allow; told under a name of its own."""

    def __init__(self, kind: str, message: str, code: int = frames.E_UNHANDLED) -> None:
        super().__init__(message)
        self.kind = kind
        self.code = code


def describe(failure: BaseException, code: int = frames.E_UNHANDLED) -> tuple[int, bytes]:
    """`(error code, JSON)` of what a function raised."""
    try:
        if isinstance(failure, MemoryError):
            code = frames.E_MEMORY
        elif isinstance(failure, Refused):
            code = failure.code
        kind = failure.kind if isinstance(failure, Refused) else type(failure).__name__
        trace = [] if isinstance(failure, Refused) else _trace(failure)
        message = _message(failure) or ("the function ran out of memory" if code == frames.E_MEMORY else "")
        return code, _encode(message, str(kind)[:_LINE_CHARS], trace)
    except (MemoryError, RecursionError):
        return code, _OUT_OF_MEMORY if code == frames.E_MEMORY else _encode("", type(failure).__name__, [])


def _encode(message: str, kind: str, trace: list[str]) -> bytes:
    def render() -> bytes:
        return json.dumps({"errorMessage": message, "errorType": kind, "stackTrace": trace}).encode()

    data = render()
    while len(data) > ERROR_BYTES and len(trace) > 2:
        del trace[len(trace) // 2]
        data = render()
    return data


def _message(failure: BaseException) -> str:
    try:
        text = str(failure)
    except Exception as second:
        return f"<the exception's own text could not be made: {type(second).__name__}>"
    if len(text) > _MESSAGE_CHARS:
        return f"{text[:_MESSAGE_CHARS]} … (cut: {len(text)} characters in all)"
    return text


def _trace(failure: BaseException) -> list[str]:
    steps = []
    step = failure.__traceback__
    while step is not None:
        steps.append((step.tb_frame.f_code, step.tb_lineno))
        step = step.tb_next
    while steps and steps[0][0].co_filename.startswith(_HERE):
        del steps[0]
    while steps and steps[0][0].co_filename.startswith("<frozen importlib"):
        del steps[0]
    lines = [_line(code.co_filename, number, code.co_name) for code, number in steps[: _TRACE_FRAMES // 2]]
    rest = steps[_TRACE_FRAMES // 2 :]
    if len(rest) > _TRACE_FRAMES // 2:
        lines.append(f"… {len(rest) - _TRACE_FRAMES // 2} more calls …")
        rest = rest[-_TRACE_FRAMES // 2 :]
    lines += [_line(code.co_filename, number, code.co_name) for code, number in rest]
    if isinstance(failure, SyntaxError) and failure.filename:
        lines.append(_where(failure.filename, failure.lineno or 0, "<module>", failure.text or ""))
    return lines


def _line(path: str, number: int, name: str) -> str:
    return _where(path, number, name, linecache.getline(path, number))


def _where(path: str, number: int, name: str, text: str) -> str:
    head = f'File "{path}", line {number}, in {name}'
    text = text.strip()[:_LINE_CHARS]
    return f"{head}\n    {text}" if text else head
