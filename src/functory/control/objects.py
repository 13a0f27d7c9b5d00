"""The object store's door: `PUT /{account}/{object}` under the host `functory-upload.oss-{region}.aliyuncs.com`.

It stands before the door of the management API and lets everything else pass. Its errors are XML, as its clients read.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import Callable
from xml.sax.saxutils import escape

import fastcrc
from starlette.types import ASGIApp, Receive, Scope, Send

from functory.control import bodies
from functory.control.uploads import BUCKET, Uploads
from functory.model import errors
from functory.web import problems
from functory.web.oss_v1 import ObjectRequest

_HOST = re.compile(rf"{BUCKET}\.oss-[a-z0-9-]+\.aliyuncs\.com(:\d{{1,5}})?".encode())
_CODES = {"SignatureNotMatch": "SignatureDoesNotMatch", "InvalidAccessKeyID": "InvalidAccessKeyId"}


class ObjectDoor:
    """The ASGI middleware."""

    def __init__(self, app: ASGIApp, *, uploads: Uploads | None, new_request_id: Callable[[], str]) -> None:
        self._app = app
        self._uploads = uploads
        self._new_request_id = new_request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._uploads is None or scope["type"] != "http" or not _is_ours(scope):
            await self._app(scope, receive, send)
            return
        request_id = self._new_request_id()
        try:
            headers = await self._put(self._uploads, scope, receive)
            status, body = 200, b""
        except Exception as error:
            status, headers, body = _problem(error, request_id)
        headers = [*headers, (b"x-oss-request-id", request_id.encode()), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _put(self, uploads: Uploads, scope: Scope, receive: Receive) -> list[tuple[bytes, bytes]]:
        """Signature first, body after: only holders of keys can make the node take bytes."""
        if scope["method"] != "PUT":
            raise errors.MethodNotAllowed("only PUT is served here")
        headers = {name.decode("latin-1"): value.decode("latin-1").strip() for name, value in scope["headers"]}
        if len(headers) != len(scope["headers"]):
            raise errors.SignatureNotMatch("a header is there more than once")
        if scope["query_string"]:
            raise errors.InvalidArgument("a query is not served here")
        key = uploads.check(ObjectRequest("PUT", BUCKET, scope["raw_path"], headers))
        limit = uploads.object_max_bytes
        data = await bodies.read(receive, limit, errors.EntityTooLarge(f"the object is larger than {limit} bytes"))
        md5, crc = await asyncio.to_thread(_digests, data)
        if headers.get("content-md5", "") not in ("", base64.b64encode(md5).decode()):
            raise errors.InvalidArgument("Content-MD5 is not that of the body that arrived")
        await uploads.put(key, data)
        return [(b"etag", b'"%b"' % md5.hex().upper().encode()), (b"x-oss-hash-crc64ecma", b"%d" % crc)]


def _is_ours(scope: Scope) -> bool:
    return any(name == b"host" and _HOST.fullmatch(value.lower()) for name, value in scope["headers"])


def _digests(data: bytes) -> tuple[bytes, int]:
    return hashlib.md5(data, usedforsecurity=False).digest(), fastcrc.crc64.xz(data)


def _problem(error: Exception, request_id: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    status, _, _ = problems.problem(error, request_id)
    known = isinstance(error, errors.FunctoryError)
    code = error.code if isinstance(error, errors.FunctoryError) else "InternalError"
    message = str(error)[:500] if known else "the request failed"
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{_CODES.get(code, code)}</Code>'
        f"<Message>{escape(message)}</Message><RequestId>{request_id}</RequestId></Error>"
    )
    return status, [(b"content-type", b"application/xml")], text.encode("utf-8", "replace")
