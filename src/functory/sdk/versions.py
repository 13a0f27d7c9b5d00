"""Versions and aliases of functions: the management half of the official API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from functory.sdk import answers, pages, signer
from functory.sdk.functions import path_of
from functory.sdk.transport import Transport


class Version(answers.Answer, frozen=True, kw_only=True):
    """A frozen copy of a function."""

    version_id: str
    """1, 2, 3, …"""
    description: str = ""
    created_time: str = ""
    last_modified_time: str = ""


class Alias(answers.Answer, frozen=True, kw_only=True):
    """A name for a version, of which a second one may take a share of the calls."""

    alias_name: str
    version_id: str = ""
    additional_version_weight: dict[str, float] = msgspec.field(default_factory=dict)
    """The second version and its share, 0 to 1; empty = there is none."""
    description: str = ""
    created_time: str = ""
    last_modified_time: str = ""


class Versions:
    """`client.versions`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def publish(self, function: str, description: str = "") -> Version:
        """LATEST as it stands, frozen. `ApiError` VersionPublishError if nothing changed since the newest version."""
        content = {"description": description}
        return self._transport.json(
            Version, "PublishFunctionVersion", "POST", f"{path_of(function)}/versions", content=content
        )

    def list(self, function: str) -> Iterator[Version]:
        """All versions, the newest first."""
        path = f"{path_of(function)}/versions"
        return pages.items(self._transport, Version, "ListFunctionVersions", path, "versions")

    def newest(self, function: str) -> str:
        """The number of the newest version, or an empty text if none was published."""
        return next((one.version_id for one in self.list(function)), "")

    def delete(self, function: str, version: str) -> None:
        """The version is gone; an alias that names it keeps it."""
        path = f"{path_of(function)}/versions/{signer.percent_encode(version)}"
        self._transport.call("DeleteFunctionVersion", "DELETE", path)


class Aliases:
    """`client.aliases`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, function: str, name: str, version: str, **fields: Any) -> Alias:
        """A new alias. `fields`: description, additionalVersionWeight."""
        content = {"aliasName": name, "versionId": version, **fields}
        return self._transport.json(Alias, "CreateAlias", "POST", _path(function), content=content)

    def update(self, function: str, name: str, fields: Mapping[str, Any]) -> Alias:
        """The alias after `fields` (versionId, description, additionalVersionWeight) were changed."""
        return self._transport.json(Alias, "UpdateAlias", "PUT", _path(function, name), content=fields)

    def get(self, function: str, name: str) -> Alias:
        """`ApiError` with code `AliasNotFound` if there is none."""
        return self._transport.json(Alias, "GetAlias", "GET", _path(function, name))

    def list(self, function: str) -> Iterator[Alias]:
        """All aliases of a function in order of name."""
        return pages.items(self._transport, Alias, "ListAliases", _path(function), "aliases")

    def delete(self, function: str, name: str) -> None:
        """Calls of it are refused from now on; the version stays."""
        self._transport.call("DeleteAlias", "DELETE", _path(function, name))


def _path(function: str, name: str = "") -> str:
    path = f"{path_of(function)}/aliases"
    return f"{path}/{signer.percent_encode(name)}" if name else path
