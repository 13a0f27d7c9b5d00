"""Custom domains: the management half of the official API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from functory.sdk import answers, pages, signer
from functory.sdk.transport import Transport

PREFIX = f"/{signer.API_VERSION}/custom-domains"


class Domain(answers.Answer, frozen=True, kw_only=True):
    """A custom domain as GetCustomDomain answers it; its private key is never told."""

    domain_name: str
    protocol: str = ""
    route_config: dict[str, Any] = msgspec.field(default_factory=dict)
    auth_config: dict[str, Any] = msgspec.field(default_factory=dict)
    cors_config: dict[str, Any] = msgspec.field(default_factory=dict)
    tls_config: dict[str, Any] = msgspec.field(default_factory=dict)
    cert_config: dict[str, Any] = msgspec.field(default_factory=dict)
    created_time: str = ""
    last_modified_time: str = ""

    @property
    def routes(self) -> list[dict[str, Any]]:
        """Path, function and more of each route."""
        return [dict(route) for route in self.route_config.get("routes") or []]

    def fields(self) -> dict[str, Any]:
        """What can be changed, in the words of the API."""
        return {
            "protocol": self.protocol,
            "routeConfig": self.route_config,
            "authConfig": self.auth_config,
            "corsConfig": self.cors_config,
            "tlsConfig": self.tls_config,
            "certConfig": self.cert_config,
        }


class Domains:
    """`client.domains`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, name: str, fields: Mapping[str, Any]) -> Domain:
        """A new domain. `fields`: protocol, routeConfig, authConfig, certConfig, tlsConfig, corsConfig."""
        content = {"domainName": name, **fields}
        return self._transport.json(Domain, "CreateCustomDomain", "POST", PREFIX, content=content)

    def update(self, name: str, fields: Mapping[str, Any]) -> Domain:
        """The domain after `fields` were changed. What is not named stays as it is."""
        return self._transport.json(Domain, "UpdateCustomDomain", "PUT", _path(name), content=fields)

    def get(self, name: str) -> Domain:
        """`ApiError` with code `DomainNameNotFound` if there is none."""
        return self._transport.json(Domain, "GetCustomDomain", "GET", _path(name))

    def list(self, prefix: str = "") -> Iterator[Domain]:
        """All domains of the account in order of name."""
        query = {"prefix": prefix or None}
        return pages.items(self._transport, Domain, "ListCustomDomains", PREFIX, "customDomains", query=query)

    def delete(self, name: str) -> None:
        """The name leads nowhere any more."""
        self._transport.call("DeleteCustomDomain", "DELETE", _path(name))


def _path(name: str) -> str:
    return f"{PREFIX}/{signer.percent_encode(name)}"
