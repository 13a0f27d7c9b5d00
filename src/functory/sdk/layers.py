"""Layers: archives that functions see as read-only folders below /opt. The management half of the official API."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from functory.sdk import answers, pages, signer
from functory.sdk.transport import Transport

PREFIX = f"/{signer.API_VERSION}/layers"


class LayerVersion(answers.Answer, frozen=True, kw_only=True):
    """A version of a layer."""

    layer_name: str
    version: int = 0
    layer_version_arn: str = ""
    description: str = ""
    license: str = ""
    compatible_runtime: list[str] = msgspec.field(default_factory=list)
    code_size: int = 0
    code_checksum: str = ""
    """CRC-64 of the zip, a decimal number."""
    create_time: str = ""
    code: dict[str, Any] | None = None
    """Where the archive can be fetched for a while."""


class Layers:
    """`client.layers`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def publish(
        self,
        name: str,
        archive: bytes,
        *,
        runtimes: Sequence[str] = (),
        description: str = "",
        license_name: str = "",
    ) -> LayerVersion:
        """The next version of the layer. `archive`: a zip."""
        content = {
            "code": {"zipFile": base64.b64encode(archive).decode("ascii")},
            "compatibleRuntime": list(runtimes),
            "description": description,
            "license": license_name,
        }
        return self._transport.json(LayerVersion, "CreateLayerVersion", "POST", _versions(name), content=content)

    def get(self, name: str, version: int | str) -> LayerVersion:
        """`ApiError` with code `LayerVersionNotFound` if there is none."""
        return self._transport.json(LayerVersion, "GetLayerVersion", "GET", _one(name, version))

    def by_arn(self, arn: str) -> LayerVersion:
        """The one that an ARN names."""
        path = f"/{signer.API_VERSION}/layerarn/{signer.percent_encode(arn)}"
        return self._transport.json(LayerVersion, "GetLayerVersionByArn", "GET", path)

    def list(self, prefix: str = "") -> Iterator[LayerVersion]:
        """The newest version of each layer, in order of name."""
        query = {"prefix": prefix or None}
        return pages.items(self._transport, LayerVersion, "ListLayers", PREFIX, "layers", query=query)

    def versions(self, name: str) -> Iterator[LayerVersion]:
        """All versions of a layer; none if there is no such layer."""
        names = ("limit", "startVersion", "nextVersion")
        return pages.items(self._transport, LayerVersion, "ListLayerVersions", _versions(name), "layers", names=names)

    def delete(self, name: str, version: int | str) -> None:
        """The version is gone; functions that use it keep it."""
        self._transport.call("DeleteLayerVersion", "DELETE", _one(name, version))


def _versions(name: str) -> str:
    return f"{PREFIX}/{signer.percent_encode(name)}/versions"


def _one(name: str, version: int | str) -> str:
    return f"{_versions(name)}/{signer.percent_encode(str(version))}"
