"""One request head: parsed by httptools, then checked for what a parser leaves open.

httptools is a parser, not a server: HTTP/0.9 and bare line feeds (a smuggling primitive), missing and doubled Host,
sizes and counts are checked here. A client that keeps its connection usually repeats its head byte for byte; the
connection remembers the last one, so this runs once per distinct head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote_to_bytes

import httptools

from functory.model import ids
from functory.model.account import Principal

if TYPE_CHECKING:
    from functory.gateway.targets import Bound

HEAD_MAX_BYTES = 64 * 1024
HEADER_MAX_BYTES = 8 * 1024
HEADERS_MAX = 128
TARGET_MAX_BYTES = 8 * 1024
END = b"\r\n\r\n"
_INVOKE_PREFIX = b"/2023-03-30/functions/"
_INVOKE_SUFFIX = b"/invocations"


class BadHead(Exception):
    """The request cannot be read; carries the HTTP status and a sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class CallTarget:
    """An InvokeFunction target: which function."""

    __slots__ = ("name", "qualifier")

    def __init__(self, name: str, qualifier: str) -> None:
        self.name = name
        self.qualifier = qualifier


class Head:
    """A parsed head, with what is remembered about it."""

    __slots__ = (
        "authorization",
        "bound",
        "bound_generation",
        "call",
        "chunked",
        "content_length",
        "expects_continue",
        "headers",
        "host",
        "invocation_type",
        "keep_alive",
        "log_tail",
        "method",
        "principal",
        "principal_generation",
        "raw",
        "sticky",
        "target",
        "trace_parent",
        "upgrade",
        "version",
    )

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.method = ""
        self.target = b""
        self.version = "1.1"
        self.headers: list[tuple[bytes, bytes]] = []
        """Names in lower case, in the order they came."""
        self.content_length = 0
        self.chunked = False
        self.keep_alive = True
        self.expects_continue = False
        self.authorization = b""
        self.host = b""
        self.call: CallTarget | None = None
        self.bound: Bound | None = None
        """The HTTP trigger or custom domain it leads to; valid while `bound_generation` is that of the tables."""
        self.bound_generation = -1
        self.invocation_type = b""
        self.log_tail = False
        self.sticky = b""
        """What an alias of two versions chooses by (`x-fc-canary-key`)."""
        self.trace_parent = ""
        self.upgrade = False
        """The client offers to go on as a WebSocket."""
        self.principal: Principal | None = None
        """Who a call token in this head belongs to, once checked."""
        self.principal_generation = -1

    def get(self, name: bytes) -> bytes:
        """The value of a header, or empty; the first if there are several."""
        for key, value in self.headers:
            if key == name:
                return value
        return b""


class _Collector:
    """What httptools calls back."""

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))


def parse(raw: bytes) -> Head:
    """The head in `raw`, which ends with an empty line; raises `BadHead`."""
    # Lines end with CRLF and nothing else, and no line continues the one before (obs-fold).
    if raw.count(b"\n") != raw.count(b"\r\n") or b"\r\n " in raw or b"\r\n\t" in raw or b"\0" in raw:
        raise BadHead(400, "the request head has a line that does not end with CRLF, or is folded")
    collector = _Collector()
    parser = httptools.HttpRequestParser(collector)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass  # an offer to change the protocol may be ignored
    except httptools.HttpParserError as error:
        raise BadHead(400, f"the request head is not HTTP/1.1: {error}") from None
    head = Head(raw)
    head.version = parser.get_http_version()
    if head.version not in ("1.0", "1.1"):
        raise BadHead(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
    head.method = parser.get_method().decode("ascii")
    head.target = collector.target
    head.headers = collector.headers
    # Not the parser's word: it has forgotten the header once a request without a body is complete.
    head.keep_alive = head.version == "1.1"
    _check(head)
    head.call = _call_target(head)
    if head.call is not None:
        head.invocation_type = head.get(b"x-fc-invocation-type").lower()
        head.log_tail = head.get(b"x-fc-log-type").lower() == b"tail"
        if head.call.qualifier != ids.LATEST:
            head.sticky = head.get(b"x-fc-canary-key")
        head.trace_parent = head.get(b"traceparent")[:55].decode("latin-1")
    return head


def _check(head: Head) -> None:
    if len(head.headers) > HEADERS_MAX:
        raise BadHead(431, f"more than {HEADERS_MAX} headers")
    if len(head.target) > TARGET_MAX_BYTES:
        raise BadHead(414, f"the request target is longer than {TARGET_MAX_BYTES} bytes")
    if not head.target.startswith(b"/") and head.target != b"*":
        raise BadHead(400, "the request target must start with '/'")
    hosts = lengths = 0
    offered = wanted = False
    for name, value in head.headers:
        if len(name) + len(value) > HEADER_MAX_BYTES:
            raise BadHead(431, f"header {name[:40].decode('latin-1')} is longer than {HEADER_MAX_BYTES} bytes")
        if name == b"host":
            hosts += 1
            head.host = value
        elif name == b"content-length":
            lengths += 1
            if not value.isdigit() or len(value) > 15:
                raise BadHead(400, "Content-Length is not a number")
            head.content_length = int(value)
        elif name == b"transfer-encoding":
            if value.lower() != b"chunked" or head.chunked:
                raise BadHead(501, "the only Transfer-Encoding spoken here is chunked")
            head.chunked = True
        elif name == b"expect":
            head.expects_continue = value.lower() == b"100-continue"
        elif name == b"authorization":
            head.authorization = value
        elif name == b"connection":
            options = [option.strip() for option in value.lower().split(b",")]
            head.keep_alive = b"close" not in options and (head.keep_alive or b"keep-alive" in options)
            offered = b"upgrade" in options
        elif name == b"upgrade":
            wanted = value.strip().lower() == b"websocket"
    if hosts > 1 or (hosts == 0 and head.version == "1.1"):
        raise BadHead(400, "exactly one Host header is needed")
    if lengths > 1 or (lengths and head.chunked):
        raise BadHead(400, "Content-Length is doubled or stands beside Transfer-Encoding")
    if head.chunked and head.version == "1.0":
        raise BadHead(400, "HTTP/1.0 has no Transfer-Encoding")
    # Other offers may be ignored (h2c), and so may one with a body, which would stand before the other protocol.
    bare = head.method == "GET" and not head.chunked and not head.content_length
    head.upgrade = offered and wanted and bare and head.version == "1.1"


def _call_target(head: Head) -> CallTarget | None:
    """The function, if this is `POST /2023-03-30/functions/{name}/invocations[?qualifier=]`."""
    if head.method != "POST" or not head.target.startswith(_INVOKE_PREFIX):
        return None
    path, _, query = head.target.partition(b"?")
    if not path.endswith(_INVOKE_SUFFIX):
        return None
    name = path[len(_INVOKE_PREFIX) : -len(_INVOKE_SUFFIX)]
    if not name or b"/" in name:
        return None
    pairs = dict(parse_qsl(query.decode("latin-1"), max_num_fields=32)) if query else {}
    return CallTarget(unquote_to_bytes(name).decode("utf-8", "replace"), pairs.get("qualifier") or ids.LATEST)
