"""The fields of `domains:` in `functory.yaml`, typed, and what each is called in the official API.

None = nothing is said. `docs/deploy.md` lists each of them; a test compares them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from functory.sdk.functory_fields import Fields, renamed, without_none


class Domain(Fields, frozen=True):
    """One custom domain."""

    routes: list[Route]
    """What leads where."""
    protocol: str = "HTTP"
    """HTTP, HTTPS or HTTP,HTTPS."""
    auth: Auth | None = None
    """Who may call. Default: everybody."""
    certificate: Certificate | None = None
    """For HTTPS."""
    tls: Tls | None = None
    """How connections are encrypted."""
    cors: Cors | None = None
    """What browsers on other sites may do."""


class Route(Fields, frozen=True):
    """A path and where it leads."""

    path: str
    """`/a` exactly, or `/a/*` with all below it; the longest that fits wins."""
    function: str
    """A function's name."""
    qualifier: str | None = None
    """Version or alias. Default: LATEST."""
    methods: list[str] | None = None
    """Default: all."""
    rewrite: Rewrite | None = None
    """How the path is changed before the function sees it."""


class Rewrite(Fields, frozen=True):
    """Rules that change the path: pattern and replacement. The first that fits counts, in this order."""

    equal: dict[str, str] | None = None
    """The whole path."""
    wildcard: dict[str, str] | None = None
    """`*` stands for any text, `$1` for what it stood for."""
    regex: dict[str, str] | None = None
    """A regular expression at the path's start."""


class Auth(Fields, frozen=True):
    """Who may call a domain."""

    type: str
    """anonymous, function or jwt."""
    config: dict[str, Any] | None = None
    """jwt: its rules, as the API has them."""


class Certificate(Fields, frozen=True):
    """A certificate with its key."""

    name: str
    """What it is called."""
    cert: str
    """The PEM file with the chain, the domain's own first."""
    key: str
    """The PEM file with the private key."""


class Tls(Fields, frozen=True):
    """Versions and ciphers."""

    min: str | None = None
    """TLSv1.2 or TLSv1.3."""
    max: str | None = None
    """TLSv1.2 or TLSv1.3."""
    ciphers: list[str] | None = None
    """cipherSuites."""


class Cors(Fields, frozen=True):
    """What browsers on other sites may do."""

    origins: list[str] | None = None
    """Sites, or `*`."""
    methods: list[str] | None = None
    """Which methods."""
    headers: list[str] | None = None
    """Which headers they may send."""
    expose: list[str] | None = None
    """Which headers they may read."""
    max_age: int | None = None
    """Seconds that a browser may remember this."""
    credentials: bool | None = None
    """Whether cookies come along."""


KINDS: tuple[type[Fields], ...] = (Domain, Route, Rewrite, Auth, Certificate, Tls, Cors)
"""The mappings of this file, in the order of the page."""
_TLS = {"min": "minVersion", "max": "maxVersion", "ciphers": "cipherSuites"}
_CORS = {
    "origins": "allowOrigins",
    "methods": "allowMethods",
    "headers": "allowHeaders",
    "expose": "exposeHeaders",
    "max_age": "maxAge",
    "credentials": "allowCredentials",
}
"""Our words, and the API's."""


def official(said: Domain) -> dict[str, Any]:
    """The fields of CreateCustomDomain, but for the certificate, which lies in files of its own."""
    return {
        "protocol": said.protocol,
        "routeConfig": {"routes": [_route(route) for route in said.routes]},
        "authConfig": _auth(said.auth),
        "tlsConfig": without_none(renamed(said.tls, _TLS)),
        "corsConfig": without_none(renamed(said.cors, _CORS)),
    }


def _route(route: Route) -> dict[str, Any]:
    whole = {
        "path": route.path,
        "functionName": route.function,
        "qualifier": route.qualifier,
        "methods": route.methods,
        "rewriteConfig": _rewrite(route.rewrite),
    }
    return without_none(whole)


def _rewrite(said: Rewrite | None) -> dict[str, Any] | None:
    if said is None:
        return None
    rules = {"equalRules": said.equal, "wildcardRules": said.wildcard, "regexRules": said.regex}
    return {
        key: [{"match": match, "replacement": text} for match, text in rule.items()]
        for key, rule in rules.items()
        if rule
    }


def _auth(said: Auth | None) -> dict[str, Any]:
    if said is None:
        return {"authType": "anonymous"}
    info = {} if said.config is None else {"authInfo": msgspec.json.encode(said.config).decode()}
    return {"authType": said.type, **info}
