"""The custom domain: a host name of the user's, and the functions that its paths lead to."""

from __future__ import annotations

import re

import msgspec

from functory.model import errors
from functory.model.trigger import AuthKind, Cors

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?"
DOMAIN_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")
PROTOCOLS = ("HTTP", "HTTPS", "HTTP,HTTPS")
MAX_ROUTES = 100


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rewrite of a path."""

    match: str
    replacement: str


class Rewrite(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How the path is changed before the function sees it: the first rule that matches, in this order."""

    equal_rules: list[Rule] | None = None
    """The whole path."""
    wildcard_rules: list[Rule] | None = None
    """`*` stands for any text; `$1`, `$2`, … put back what each stood for."""
    regex_rules: list[Rule] | None = None
    """A regular expression found at the path's start; `$1`, … are its groups."""


class Route(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A path of a domain and where it leads."""

    path: str
    """`/a` exactly, or `/a/*` with all below it."""
    function_name: str
    qualifier: str | None = None
    methods: list[str] | None = None
    """None = all."""
    rewrite_config: Rewrite | None = None


class RouteConfig(msgspec.Struct, frozen=True, kw_only=True):
    """All routes; the longest path that fits wins."""

    routes: list[Route] | None = None


class AuthConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Who may call."""

    auth_type: AuthKind | None = None
    auth_info: str | None = None
    """JSON text: the rules of `jwt`."""


class TlsConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How a connection is encrypted."""

    min_version: str | None = None
    max_version: str | None = None
    cipher_suites: list[str] | None = None


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate with its key. The store seals the key; lists of domains come without it."""

    name: str
    chain: str
    """PEM, the domain's own first."""
    private_key: str = ""
    """PEM."""

    def __repr__(self) -> str:
        return f"Certificate({self.name})"


class Domain(msgspec.Struct, frozen=True, kw_only=True):
    """A custom domain at one revision; a change makes a new record with `epoch + 1`."""

    account_id: str
    name: str
    """In lower case. One name belongs to one account: the Host header says nothing else."""
    protocol: str = "HTTP"
    routes: RouteConfig = RouteConfig()
    auth: AuthConfig | None = None
    cors: Cors | None = None
    tls: TlsConfig | None = None
    certificate: Certificate | None = None
    created_at_ms: int
    modified_at_ms: int
    epoch: int = 1

    @property
    def encrypted(self) -> bool:
        """Whether it is served over TLS."""
        return "HTTPS" in self.protocol

    @property
    def plain(self) -> bool:
        """Whether it is served without TLS."""
        return self.protocol != "HTTPS"


def check_domain_name(name: object) -> str:
    """The name in lower case, if it is a host name of two labels or more."""
    lower = name.lower() if isinstance(name, str) else ""
    if not DOMAIN_NAME.fullmatch(lower) or len(lower) > 253 or lower.rpartition(".")[2].isdigit():
        raise errors.InvalidArgument(f"domainName {str(name)[:80]!r} is not a host name such as www.example.com")
    return lower
