"""The body of a request, taken whole within its limit."""

from __future__ import annotations

import io

from starlette.types import Receive

from functory.model import errors


async def read(receive: Receive, limit_bytes: int, too_large: errors.EntityTooLarge) -> bytes:
    """The whole body. Raises `too_large` as soon as it is longer than the limit."""
    body = io.BytesIO()  # grows in place and gives its bytes away uncopied: joining 70 MB would stop the loop
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise errors.RequestError("the client went away before the body was complete")
        piece: bytes = message.get("body", b"")
        if body.tell() + len(piece) > limit_bytes:
            raise too_large
        body.write(piece)
        if not message.get("more_body", False):
            return body.getvalue()
