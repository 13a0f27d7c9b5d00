"""Which functions ListFunctions answers."""

from __future__ import annotations

import msgspec

from functory.control.fc import paging, shapes
from functory.model import errors
from functory.model.function import Function
from functory.store.base import Functions

_MAX_SCANNED = 2000
"""How many functions one request looks at; a page may be short, or empty, and still have a next one."""


class Query(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The official query parameters."""

    description: str = ""
    fc_version: str = ""
    function_name: str = ""
    gpu_type: str = ""
    limit: int | None = None
    next_token: str = ""
    prefix: str = ""
    resource_group_id: str = ""
    runtime: str = ""
    tags: str = ""
    """A JSON list of {"Key", "Value"}."""


async def page(functions: Functions, account_id: str, query: Query) -> tuple[list[Function], str]:
    """The functions of one page, and the name after which the next one starts (empty at the end)."""
    limit = paging.check_limit(query.limit)
    after = paging.key_after(query.next_token)
    tags = _tags(query.tags)
    if query.fc_version == "v2":
        return [], ""
    found: list[Function] = []
    for _ in range(_MAX_SCANNED // paging.MAX_LIMIT):
        batch = await functions.list(account_id, prefix=query.prefix, after=after, limit=paging.MAX_LIMIT)
        for function in batch:
            if not _fits(function, query, tags):
                continue
            if len(found) == limit:
                return found, found[-1].name
            found.append(function)
        if len(batch) < paging.MAX_LIMIT:
            return found, ""
        after = batch[-1].name
    return found, after


def _tags(text: str) -> dict[str, str]:
    if not text:
        return {}
    try:
        given = msgspec.json.decode(text, type=list[shapes.Tag])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as wrong:
        raise errors.InvalidArgument(f'tags is not a JSON list of {{"Key", "Value"}}: {wrong}') from None
    return {tag.key: tag.value for tag in given}


def _fits(function: Function, query: Query, tags: dict[str, str]) -> bool:
    official = function.official
    if tags:
        own = {tag["Key"]: tag["Value"] for tag in official.get("tags", [])}
        if any(own.get(key) != value for key, value in tags.items()):
            return False
    return (
        (not query.runtime or function.runtime == query.runtime)
        and query.function_name in function.name
        and query.description in function.description
        and (not query.gpu_type or official.get("gpuConfig", {}).get("gpuType") == query.gpu_type)
        and (not query.resource_group_id or official.get("resourceGroupId") == query.resource_group_id)
    )
