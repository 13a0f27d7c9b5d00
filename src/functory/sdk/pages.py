"""Lists that come page by page, each page naming the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from functory.sdk.errors import ConnectionFailed
from functory.sdk.transport import Transport

T = TypeVar("T")
PAGE = 100


def items(
    transport: Transport,
    answer: type[T],
    action: str,
    path: str,
    listed_as: str,
    *,
    query: Mapping[str, str | int | bool | None] | None = None,
    names: tuple[str, str, str] = ("limit", "nextToken", "nextToken"),
) -> Iterator[T]:
    """Everything that a list operation has, in its order.

    `listed_as`: the field that holds a page's items. `names`: how the operation calls the size of a page, where to go
    on in the query, and where to go on in the answer.
    """
    size, start, following = names
    token: str | int | None = None
    while True:
        asked = {**(query or {}), size: PAGE, start: token}
        page = transport.json(dict[str, Any], action, "GET", path, query=asked)
        try:
            yield from msgspec.convert(page.get(listed_as) or [], list[answer])  # type: ignore[valid-type]
        except msgspec.ValidationError as failure:
            raise ConnectionFailed(f"the answer to {action} is not what a Functory node says: {failure}") from failure
        token = page.get(following)
        if not token:
            return
