"""What a function returned, as an HTTP answer.

* A JSON object with `statusCode` is the answer itself: `{statusCode, headers, isBase64Encoded, body}`. A header's value
  is a string or number, or a list of them for several headers of one name. One that is malformed is the function's
  fault: 502.
* Anything else is the body of a 200. Without a name for it, its type is JSON, text or bytes, as its beginning looks.
* A function that failed: 502 (504 if its time ran out) with `x-fc-error-type`, and its message and type as JSON. The
  stack trace stays in the log: callers of a URL are strangers.
"""

from __future__ import annotations

import binascii
import http
import re
from typing import Any, NamedTuple

import msgspec

from functory.gateway.cors import NAMES as CORS_NAMES
from functory.model.invocation import Outcome, Status

JSON = b"content-type: application/json\r\n"
TEXT = b"content-type: text/plain; charset=utf-8\r\n"
BYTES = b"content-type: application/octet-stream\r\n"
EVENTS = b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
BAD_ANSWER = "BadResponse"
"""The error type of an answer that cannot be one."""
_MARK = b'"statusCode"'
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_OURS = frozenset(
    {
        "connection",
        "content-length",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-fc-request-id",
        "x-fc-error-type",
    }
)
"""How an answer is framed, and what the platform says, is not the function's business: these are left out."""
_PHRASES = {status.value: status.phrase.encode() for status in http.HTTPStatus}
MAX_HEADER_BYTES = 16 * 1024


class BadAnswer(Exception):
    """The function returned what cannot be an HTTP answer; the text says why."""


class Answer(NamedTuple):
    """An HTTP answer but for its framing."""

    status: int
    lines: bytes
    """Header lines, each with its end."""
    body: bytes


class _Returned(msgspec.Struct, rename="camel"):
    status_code: int | str
    headers: dict[str, str | int | float | bool | list[str | int | float] | None] | None = None
    is_base64_encoded: bool | None = None
    body: Any = None


class _Marked(msgspec.Struct, rename="camel"):
    status_code: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode = msgspec.json.Decoder(_Returned).decode
_decode_mark = msgspec.json.Decoder(_Marked).decode


def of_return(payload: bytes) -> Answer:
    """The answer that a return value stands for; `BadAnswer`."""
    if payload[:1] == b"{" and _MARK in payload:
        try:
            return _mapped(_decode(payload))
        except msgspec.ValidationError as wrong:
            if _is_marked(payload):
                raise BadAnswer(f"what the function returned is not an HTTP answer: {wrong}") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass  # not JSON at all: a body that begins like it
    return Answer(200, kind_of(payload), payload)


def head_of_stream(piece: bytes) -> Answer | None:
    """The answer's head, if a stream's first piece is one: a JSON object with `statusCode`; `BadAnswer`."""
    if piece[:1] != b"{" or _MARK not in piece or len(piece) > MAX_HEADER_BYTES or not _is_marked(piece):
        return None
    try:
        return _mapped(_decode(piece))
    except msgspec.DecodeError as wrong:
        raise BadAnswer(f"what the function yielded first is not the head of an HTTP answer: {wrong}") from None


def switching(piece: bytes) -> bytes | None:
    """The header lines with which a stream's first piece takes up an upgrade; None if it is another answer.

    Those of the new protocol are the function's; which protocol it is, the platform says.
    """
    try:
        told = _decode(piece)
        if told.status_code != 101:
            return None
        return b"upgrade: websocket\r\nconnection: Upgrade\r\n" + _lines(told.headers or {}, b"")
    except (msgspec.DecodeError, BadAnswer, UnicodeDecodeError, RecursionError):
        return None


def of_failure(outcome: Outcome, request_id: str) -> Answer:
    """The answer for a function that failed."""
    try:
        told = msgspec.json.decode(outcome.payload, type=dict[str, Any])
    except msgspec.DecodeError:
        told = {}
    status = 504 if outcome.status is Status.TIMEOUT else 502
    return failure(
        status, outcome.error_type, str(told.get("errorMessage", "")), str(told.get("errorType", "")), request_id
    )


def failure(status: int, error_type: str, message: str, kind: str, request_id: str) -> Answer:
    """An answer that says what went wrong in the function."""
    told = {"errorMessage": message[:2000], "errorType": kind or error_type, "requestId": request_id}
    named = error_type.encode("ascii", "replace").replace(b"\r", b"").replace(b"\n", b"")
    return Answer(status, JSON + b"x-fc-error-type: %b\r\n" % named, msgspec.json.encode(told))


def head(
    answer: Answer, request_id: str, extra: bytes, *, length: int | None, keep_alive: bool, chunked: bool
) -> bytes:
    """Status line and headers. `extra`: header lines that count more than the function's own."""
    framing = b""
    if chunked:
        framing = b"transfer-encoding: chunked\r\n"
    elif length is not None and answer.status not in (204, 304):
        framing = b"content-length: %d\r\n" % length
    return b"HTTP/1.1 %d %b\r\n%bx-fc-request-id: %b\r\n%b%b%b\r\n" % (
        answer.status,
        _PHRASES.get(answer.status, b""),
        answer.lines,
        request_id.encode(),
        extra,
        framing,
        b"" if keep_alive else b"connection: close\r\n",
    )


def without_cors(lines: bytes) -> bytes:
    """Header lines without those that cross-origin rules set."""
    if b"access-control-" not in lines.lower():
        return lines
    kept = [line for line in lines.split(b"\r\n") if line and line.partition(b":")[0].lower() not in CORS_NAMES]
    return b"".join(line + b"\r\n" for line in kept)


def kind_of(payload: bytes) -> bytes:
    """The header line for a body of which nothing is said."""
    start = payload[:1]
    if start in (b"{", b"["):
        return JSON
    return TEXT if _is_text(payload[:1024]) else BYTES


def _is_text(start: bytes) -> bool:
    if start.isascii():
        return b"\0" not in start
    try:
        start.decode()
    except UnicodeDecodeError as wrong:
        return wrong.start >= len(start) - 3 and wrong.reason == "unexpected end of data"
    return b"\0" not in start


def _is_marked(payload: bytes) -> bool:
    try:
        return _decode_mark(payload).status_code is not msgspec.UNSET
    except (msgspec.DecodeError, RecursionError):
        return False


def _mapped(returned: _Returned) -> Answer:
    body = _body(returned)
    return Answer(_status(returned.status_code), _lines(returned.headers or {}, body), body)


def _status(value: int | str) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
        value = int(value)
    if not isinstance(value, int) or not 200 <= value <= 599:
        raise BadAnswer(f"statusCode {str(value)[:20]!r} is not valid: 200 to 599")
    return value


def _body(returned: _Returned) -> bytes:
    body = returned.body
    if body is None:
        return b""
    if not isinstance(body, str):
        if returned.is_base64_encoded:
            raise BadAnswer("isBase64Encoded is true, but body is not a text")
        return msgspec.json.encode(body)
    if not returned.is_base64_encoded:
        return body.encode("utf-8", "replace")
    try:
        return binascii.a2b_base64(body, strict_mode=True)
    except (binascii.Error, ValueError):
        raise BadAnswer("isBase64Encoded is true, but body is not base64") from None


def _lines(headers: dict[str, Any], body: bytes) -> bytes:
    lines: list[str] = []
    typed = False
    for name, values in headers.items():
        lower = name.lower()
        if not _NAME.fullmatch(name):
            raise BadAnswer(f"header name {name[:40]!r} is not valid")
        if lower in _OURS or values is None:
            continue
        typed = typed or lower == "content-type"
        for value in values if isinstance(values, list) else [values]:
            lines.append(f"{name}: {_value(name, value)}\r\n")
    text = "".join(lines).encode("latin-1", "replace")
    if len(text) > MAX_HEADER_BYTES:
        raise BadAnswer(f"the headers have {len(text)} bytes; {MAX_HEADER_BYTES} are allowed")
    return text if typed or not body else text + kind_of(body)


def _value(name: str, value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if any(character in text for character in "\r\n\0"):
        raise BadAnswer(f"the value of header {name[:40]!r} holds a line end")
    return text
