"""A request of an HTTP trigger: from the event that built-in runtimes get back to HTTP, and the answer's head."""

from __future__ import annotations

import base64
import json

from . import messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HEAD_BYTES = 16 * 1024
"""The longest head of an answer that the gateway takes."""
_FRAMING = frozenset(
    ("connection", "content-length", "expect", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding")
)
"""How the client's own connection worked."""
_SAFE = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/")


class Asked:
    """What is asked: method, path, query, headers and body, as the client sent them.

    The event holds the parameters by name, so those that came several times arrive joined by commas.
    """

    def __init__(self, event: bytes, *, upgrade: bool = False) -> None:
        told: dict[str, Any] = json.loads(event)
        body = told["body"]
        self.body = base64.b64decode(body) if told["isBase64Encoded"] else body.encode()
        query = "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in told["queryParameters"].items())
        target = (told["rawPath"] or "/") + ("?" + query if query else "")
        method = told["requestContext"]["http"]["method"]
        lines = [
            messages.header(name, value) for name, value in told["headers"].items() if name.lower() not in _FRAMING
        ]
        first = f"{method} {target} HTTP/1.1\r\n".encode("latin-1", "replace")
        last = b"connection: Upgrade\r\n" if upgrade else b"content-length: %d\r\n" % len(self.body)
        self.head = b"".join((first, *lines, last))


def head(status: int, headers: dict[str, str]) -> bytes:
    """The first piece of a streamed answer: `{"statusCode", "headers"}`."""
    told: dict[str, Any] = {name: value for name, value in headers.items() if name not in _FRAMING}
    if "set-cookie" in told:
        told["set-cookie"] = told["set-cookie"].split(messages.COOKIES)
    text = json.dumps({"statusCode": status, "headers": told}).encode()
    if len(text) <= HEAD_BYTES:
        return text
    wrong = f"the headers of the function's server have {len(text)} bytes; {HEAD_BYTES} are allowed"
    return json.dumps({"statusCode": 502, "headers": {"x-functory-problem": wrong}}).encode()


def _quoted(text: str) -> str:
    return "".join(chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in text.encode("utf-8", "surrogateescape"))
