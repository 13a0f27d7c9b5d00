"""Configurations that stand around a function: asynchronous calls, concurrency, provision, scaling.

They are answered as the API has them: mappings of official fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, NamedTuple

from functory.sdk import errors, pages
from functory.sdk.functions import PREFIX, path_of
from functory.sdk.transport import Transport

Config = dict[str, Any]


class _Kind(NamedTuple):
    """How a kind of configuration is called in the API."""

    operation: str
    segment: str
    listing: str
    """The operation that lists them."""
    path: str
    listed_as: str
    qualified: bool
    """Whether each version and alias may have its own."""


class Kind(Enum):
    """The four kinds."""

    ASYNC = _Kind(
        "AsyncInvokeConfig", "async-invoke-config", "ListAsyncInvokeConfigs", "async-invoke-configs", "configs", True
    )
    CONCURRENCY = _Kind(
        "ConcurrencyConfig", "concurrency", "ListConcurrencyConfigs", "concurrency-configs", "configs", False
    )
    PROVISION = _Kind(
        "ProvisionConfig", "provision-config", "ListProvisionConfigs", "provision-configs", "provisionConfigs", True
    )
    SCALING = _Kind("ScalingConfig", "scaling-config", "ListScalingConfigs", "scaling-configs", "scalingConfigs", True)


class Configs:
    """`client.async_configs`, `client.concurrency`, `client.provision`, `client.scaling`."""

    def __init__(self, transport: Transport, kind: Kind) -> None:
        self._transport = transport
        self._kind = kind.value

    def get(self, function: str, qualifier: str = "") -> Config:
        """`ApiError` if the function or the configuration is not there."""
        return self._call("Get", "GET", function, qualifier)

    def find(self, function: str, qualifier: str = "") -> Config | None:
        """The configuration, or None if none is set or the function is not there."""
        try:
            found = self.get(function, qualifier)
        except errors.ApiError as refusal:
            if refusal.status != 404:
                raise
            return None
        return found if found.get("functionArn") else None

    def put(self, function: str, fields: Mapping[str, Any], qualifier: str = "") -> Config:
        """Set as a whole: what is not named gets its default."""
        return self._call("Put", "PUT", function, qualifier, fields)

    def delete(self, function: str, qualifier: str = "") -> None:
        """The defaults hold again."""
        kind = self._kind
        self._transport.call(f"Delete{kind.operation}", "DELETE", self._path(function), query=self._query(qualifier))

    def list(self, function: str = "") -> Iterator[Config]:
        """Those of a function; empty = of all functions of the account."""
        kind = self._kind
        path = f"{PREFIX.rpartition('/')[0]}/{kind.path}"
        asked = {"functionName": function or None}
        return pages.items(self._transport, Config, kind.listing, path, kind.listed_as, query=asked)

    def _call(
        self, verb: str, method: str, function: str, qualifier: str, content: Mapping[str, Any] | None = None
    ) -> Config:
        action = f"{verb}{self._kind.operation}"
        query = self._query(qualifier)
        return self._transport.json(Config, action, method, self._path(function), query=query, content=content)

    def _path(self, function: str) -> str:
        return f"{path_of(function)}/{self._kind.segment}"

    def _query(self, qualifier: str) -> dict[str, str | int | bool | None]:
        return {"qualifier": qualifier or None} if self._kind.qualified else {}


def qualifier_of(config: Config) -> str:
    """The version or alias that a configuration belongs to, of its ARN."""
    parts = str(config.get("functionArn", "")).rpartition(":")[2].split("/")
    return parts[2] if len(parts) > 2 else "LATEST"


def function_of(config: Config) -> str:
    """The function that a configuration belongs to, of its ARN."""
    parts = str(config.get("functionArn", "")).rpartition(":")[2].split("/")
    return parts[1] if len(parts) > 1 else ""
