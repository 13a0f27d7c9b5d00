"""Tags: labels of functions. The management half of the official API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from functory.sdk import pages, signer
from functory.sdk.transport import Transport

PATH = f"/{signer.API_VERSION}/tags-v2"


class Tag(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """One label of one function."""

    resource_id: str
    """The function's ARN."""
    resource_type: str = ""
    tag_key: str
    tag_value: str = ""

    @property
    def function(self) -> str:
        """The function's name."""
        return self.resource_id.rpartition("/")[2]


class Tags:
    """`client.tags`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, functions: Sequence[str] = (), *, wanted: Mapping[str, str] | None = None) -> Iterator[Tag]:
        """The tags of these functions (none named = all), of those that have all `wanted` ones."""
        query = {
            "ResourceType": "function",
            "ResourceId": msgspec.json.encode(list(functions)).decode() if functions else None,
            "Tag": msgspec.json.encode(_pairs(wanted)).decode() if wanted else None,
        }
        names = ("Limit", "NextToken", "NextToken")
        return pages.items(self._transport, Tag, "ListTagResources", PATH, "TagResources", query=query, names=names)

    def add(self, functions: Sequence[str], tags: Mapping[str, str]) -> None:
        """Labels the functions; a key that is there already gets the new value."""
        content = {"ResourceId": list(functions), "ResourceType": "function", "Tag": _pairs(tags)}
        self._transport.call(
            "TagResources",
            "POST",
            PATH,
            headers={"content-type": "application/json; charset=utf-8"},
            body=msgspec.json.encode(content),
        )

    def remove(self, functions: Sequence[str], keys: Sequence[str]) -> None:
        """Takes the labels with these keys away."""
        query = {
            "ResourceType": "function",
            "ResourceId": msgspec.json.encode(list(functions)).decode(),
            "TagKey": msgspec.json.encode(list(keys)).decode(),
        }
        self._transport.call("UntagResources", "DELETE", PATH, query=query)


def _pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
