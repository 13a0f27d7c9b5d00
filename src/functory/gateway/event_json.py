"""The event that a built-in runtime gets from an HTTP trigger: JSON, version v1.

    {"version": "v1", "rawPath": "/a%20b", "headers": {…}, "queryParameters": {…}, "body": "…",
     "isBase64Encoded": false, "requestContext": {"accountId", "domainName", "domainPrefix", "requestId", "time",
     "timeEpoch", "http": {"method", "path", "protocol", "sourceIp", "userAgent"}}}

All but body, id and time is the same for all requests with one head, so it is made once and kept with the head. Headers
and parameters that come several times are joined by commas (cookies by semicolons). A body that is UTF-8 goes as text,
another in base64. `x-fc-` headers are the platform's: what a client sends under such a name is left out.
"""

from __future__ import annotations

import base64
import codecs
from datetime import UTC, datetime
from urllib.parse import parse_qsl, unquote

import msgspec

from functory.gateway.body import FileBody, new_file
from functory.gateway.head import Head
from functory.gateway.targets import Bound
from functory.model import errors
from functory.web.jwt_rules import Claims, JwtRules

MAX_PARAMETERS = 1000
_PIECE = 192 * 1024
"""Bytes of a spilled body at a time; a multiple of three, as base64 wants."""

_encode = msgspec.json.Encoder().encode


def prepare(bound: Bound, head: Head, peer: str, rules: JwtRules | None, claims: Claims | None) -> None:
    """Makes the two halves of the event around the body."""
    assert bound.target is not None
    headers = _headers(head)
    query = _joined(_pairs(bound.query))
    if rules is not None:
        _pass_claims(rules, claims, headers, query)
    raw_path = bound.path.decode("latin-1")
    bound.before = b'{"version":"v1","rawPath":%b,"headers":%b,"queryParameters":%b,"body":' % (
        _encode(raw_path),
        _encode(headers),
        _encode(query),
    )
    http = {
        "method": head.method,
        "path": unquote(raw_path),
        "protocol": f"HTTP/{head.version}",
        "sourceIp": peer,
        "userAgent": headers.get("User-Agent", ""),
    }
    bound.middle = b'"requestContext":{"accountId":%b,"domainName":%b,"domainPrefix":%b,"http":%b,' % (
        _encode(bound.target.account_id),
        _encode(bound.host),
        _encode(bound.host.partition(".")[0]),
        _encode(http),
    )


class Stamp:
    """The end of an event: request id and time. Keeps the text of the current second."""

    def __init__(self) -> None:
        self._second = -1
        self._text = b""

    def tail(self, request_id: str, now_ms: int) -> bytes:
        """The rest of `requestContext`, and the two closing braces."""
        second = now_ms // 1000
        if second != self._second:
            self._second = second
            self._text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
        return b'"requestId":"%b","time":"%b","timeEpoch":"%d"}}' % (request_id.encode(), self._text, now_ms)


def whole(bound: Bound, payload: bytes, tail: bytes) -> bytes:
    """The event."""
    if not payload:
        return b'%b"","isBase64Encoded":false,%b%b' % (bound.before, bound.middle, tail)
    try:
        text = _encode(payload.decode())
    except UnicodeDecodeError:
        return b'%b"%b","isBase64Encoded":true,%b%b' % (bound.before, base64.b64encode(payload), bound.middle, tail)
    return b'%b%b,"isBase64Encoded":false,%b%b' % (bound.before, text, bound.middle, tail)


def spilled(bound: Bound, body: FileBody, tail: bytes, folder: str) -> FileBody:
    """The event of a body that lies in a file, in another file. Slow: for a thread. `body` is closed."""
    event = new_file(folder)
    try:
        text = _is_text(body)
        event.append(bound.before + b'"')
        decoder = codecs.getincrementaldecoder("utf-8")()
        for at in range(0, body.size_bytes, _PIECE):
            piece = body.read_at(at, _PIECE)
            event.append(_encode(decoder.decode(piece))[1:-1] if text else base64.b64encode(piece))
        event.append(b'","isBase64Encoded":%b,' % (b"false" if text else b"true") + bound.middle + tail)
    except BaseException:
        event.close()
        raise
    finally:
        body.close()
    return event


def decoded_path(bound: Bound) -> str:
    """The path as the function sees it, decoded."""
    return unquote(bound.path.decode("latin-1"))


def parameters(query: bytes) -> dict[str, str]:
    """The query's parameters; the first where one comes several times."""
    found: dict[str, str] = {}
    for name, value in _pairs(query):
        found.setdefault(name, value)
    return found


def _is_text(body: FileBody) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for at in range(0, body.size_bytes, _PIECE):
            decoder.decode(body.read_at(at, _PIECE))
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _headers(head: Head) -> dict[str, str]:
    """As Go writes them, which is what official functions see: `Content-Type`."""
    headers: dict[str, str] = {}
    for name, value in head.headers:
        if name.replace(b"_", b"-").startswith(b"x-fc-"):
            continue  # the platform's; servers that read headers as variables cannot tell the two spellings apart
        text = "-".join([part.capitalize() for part in name.decode("latin-1").split("-")])
        known = headers.get(text)
        new = value.strip().decode("latin-1")
        headers[text] = new if known is None else f"{known}{'; ' if name == b'cookie' else ','}{new}"
    return headers


def _pairs(query: bytes) -> list[tuple[str, str]]:
    if not query:
        return []
    try:
        return parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise errors.InvalidArgument(f"the query has more than {MAX_PARAMETERS} parameters") from None


def _joined(pairs: list[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _pass_claims(rules: JwtRules, claims: Claims | None, headers: dict[str, str], query: dict[str, str]) -> None:
    for place, claim, name in rules.passed:
        into = headers if place == "header" else query
        key = "-".join([part.capitalize() for part in name.split("-")]) if place == "header" else name
        into.pop(key, None)
        if place == "header":
            # Many servers in functions read `X_User` as `X-User`: whoever sends the one must not pass for the other.
            for alike in [one for one in into if one.replace("_", "-").lower() == key.replace("_", "-").lower()]:
                del into[alike]
        value = claims.values.get(claim) if claims is not None else None
        if value is not None:
            into[key] = value if isinstance(value, str) else _encode(value).decode()
