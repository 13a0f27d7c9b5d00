"""Where a request goes that is neither InvokeFunction nor management: HTTP triggers and custom domains.

    host is a custom domain          → the longest of its paths that fits
    host is NAME[.QUALIFIER].DOMAIN  → that function's HTTP trigger      (setting `domain`)
    path is /fn/NAME[.QUALIFIER]/…   → the same
    path is /fn/ACCOUNT:NAME…/…      → that of another account

The tables are held in memory and changed after the commit of what they say. A request costs one look-up; what is found
is remembered with its head, until `generation` counts on.
"""

from __future__ import annotations

import ipaddress
import re

from functory.gateway.cors import CorsRules
from functory.gateway.head import Head
from functory.model import errors, ids
from functory.model import trigger as triggers
from functory.model.domain import Domain, Route
from functory.model.trigger import METHODS, AuthKind, Trigger, TriggerKind
from functory.web.jwt_rules import JwtRules
from functory.web.rewrite import RewriteRules

PREFIX = b"/fn/"
PATH_MAX_BYTES = 4 * 1024
HEADERS_MAX_BYTES = 8 * 1024
_LABEL = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)?")


class Target:
    """A function that can be reached by HTTP, and by whom."""

    __slots__ = (
        "account_id",
        "auth",
        "cors",
        "epoch",
        "function_name",
        "id",
        "jwt",
        "methods",
        "private_only",
        "qualifier",
        "rewrite",
    )

    def __init__(self, account_id: str, function_name: str, qualifier: str) -> None:
        self.account_id = account_id
        self.function_name = function_name
        self.qualifier = qualifier
        self.methods: frozenset[str] = frozenset(METHODS)
        self.auth = AuthKind.ANONYMOUS
        self.jwt: JwtRules | None = None
        self.cors: CorsRules | None = None
        self.rewrite: RewriteRules | None = None
        self.private_only = False
        self.id = ""
        self.epoch = 0


class Bound:
    """What a head leads to, and what is made once for all requests with that head."""

    __slots__ = ("before", "claims_until_ms", "cors_lines", "host", "middle", "path", "query", "refusal", "target")

    def __init__(self, target: Target | None, host: str, path: bytes, query: bytes) -> None:
        self.target = target
        self.host = host
        """Without port."""
        self.path = path
        """As the function sees it, encoded."""
        self.query = query
        self.refusal: errors.FunctoryError | None = None
        """Why it is not served, whoever asks."""
        self.before = b""
        self.middle = b""
        """The event's two halves around the body; empty until made."""
        self.claims_until_ms = -1
        """How long a token in this head is valid; 0 = without end, -1 = not checked."""
        self.cors_lines = b""


class _Site:
    """A custom domain's routes."""

    def __init__(self, domain: Domain) -> None:
        self.plain = domain.plain
        self.exact: dict[str, Target] = {}
        self.below: list[tuple[str, Target]] = []
        for route in domain.routes.routes or []:
            target = compile_route(domain, route)
            if route.path.endswith("*"):
                self.below.append((route.path[:-1], target))
            else:
                self.exact[route.path] = target
        self.below.sort(key=lambda one: -len(one[0]))

    def find(self, path: str) -> Target | None:
        """Where a path leads."""
        target = self.exact.get(path)
        if target is not None:
            return target
        for head, below in self.below:
            # `/a/*` also stands for `/a`.
            if path.startswith(head) or path == head[:-1]:
                return below
        return None


class Targets:
    """The tables."""

    def __init__(self, account_id: str, domain: str = "") -> None:
        """`account_id`: whose functions need no account in their URL; `domain`: the host form's, empty = off."""
        self._account_id = account_id
        self._suffix = f".{domain.lower()}" if domain else ""
        self._triggers: dict[str, Target] = {}
        self._keys: dict[str, str] = {}
        """Under which key a trigger stands, by its id."""
        self._domains: dict[str, _Site] = {}
        self.generation = 0

    def put_trigger(self, trigger: Trigger) -> None:
        """This revision counts from now on, unless a newer one is known. Other kinds are passed over."""
        if trigger.kind is not TriggerKind.HTTP:
            return
        known = self._triggers.get(self._keys.get(trigger.trigger_id, ""))
        if known is not None and known.id == trigger.trigger_id and known.epoch >= trigger.epoch:
            return
        self.drop_trigger(trigger)
        key = self._keys[trigger.trigger_id] = self.key_of(trigger)
        self._triggers[key] = compile_trigger(trigger)
        self.generation += 1

    def drop_trigger(self, trigger: Trigger) -> None:
        """It is deleted."""
        key = self._keys.pop(trigger.trigger_id, "")
        if key in self._triggers and self._triggers[key].id == trigger.trigger_id:
            del self._triggers[key]
        self.generation += 1

    def drop_function(self, account_id: str, name: str) -> None:
        """The function is deleted, and its triggers with it. Domains go on and answer that it is gone."""
        of = (account_id, name)
        gone = [key for key, one in self._triggers.items() if (one.account_id, one.function_name) == of]
        for key in gone:
            self._keys.pop(self._triggers.pop(key).id, None)
        self.generation += 1

    def put_domain(self, domain: Domain) -> None:
        """This revision counts from now on."""
        self._domains[domain.name] = _Site(domain)
        self.generation += 1

    def drop_domain(self, name: str) -> None:
        """It is deleted."""
        self._domains.pop(name, None)
        self.generation += 1

    def key_of(self, trigger: Trigger) -> str:
        """`NAME[.QUALIFIER]`, after the account if it is not the first one."""
        key = trigger.function_name + ("" if trigger.qualifier == ids.LATEST else f".{trigger.qualifier}")
        return key if trigger.account_id == self._account_id else f"{trigger.account_id}:{key}"

    def url(self, trigger: Trigger, base_url: str) -> str:
        """Where a trigger can be called: by host if there is a domain and the name can stand in one, else by path."""
        key = self.key_of(trigger)
        scheme, _, place = base_url.partition("://")
        if self._suffix and _LABEL.fullmatch(key):
            port = place.rpartition(":")[2] if not place.endswith("]") and ":" in place else ""
            return f"{scheme}://{key}{self._suffix}" + (f":{port}" if port else "")
        return f"{base_url}{PREFIX.decode()}{key}/"

    def bind(self, head: Head, peer: str, *, secure: bool) -> None:
        """Notes in the head where it leads, or that it leads nowhere here."""
        head.bound_generation = self.generation
        head.bound = None
        host = _host_of(head.host)
        site = self._domains.get(host) if self._domains else None
        raw, _, query = head.target.partition(b"?")
        if site is not None:
            # A user's domain is the user's as a whole: the node's own paths are not on it.
            head.call = None
            head.bound = Bound(site.find(raw.decode("latin-1")), host, raw, query)
            if not (secure or site.plain):
                head.bound.refusal = errors.AccessDenied(f"{host} is served by HTTPS only")
        elif self._suffix and host.endswith(self._suffix):
            head.call = None
            head.bound = Bound(self._triggers.get(host[: -len(self._suffix)]), host, raw, query)
        elif raw.startswith(PREFIX):
            name, slash, rest = raw[len(PREFIX) :].partition(b"/")
            head.bound = Bound(self._triggers.get(name.decode("latin-1")), host, slash + rest or b"/", query)
        if head.bound is not None and head.bound.refusal is None:
            head.trace_parent = head.get(b"traceparent")[:55].decode("latin-1")
            head.sticky = head.get(b"x-fc-canary-key")
            _check(head, head.bound, peer)

    @property
    def by_host(self) -> bool:
        """Whether a host alone may lead to a function, so that every head has to be looked at."""
        return bool(self._domains or self._suffix)


def _check(head: Head, bound: Bound, peer: str) -> None:
    """What is wrong with a request as such."""
    target = bound.target
    if target is None:
        bound.refusal = errors.TriggerNotFound("no HTTP trigger or route has this URL")
        return
    size = sum(len(name) + len(value) for name, value in head.headers)
    if size > HEADERS_MAX_BYTES:
        bound.refusal = errors.InvalidArgument(f"the headers have {size} bytes; {HEADERS_MAX_BYTES} are allowed")
    elif len(bound.path) + len(bound.query) > PATH_MAX_BYTES:
        bound.refusal = errors.InvalidArgument(f"the path is longer than {PATH_MAX_BYTES} bytes")
    elif target.private_only and not _is_private(peer):
        bound.refusal = errors.AccessDenied("this URL is closed to the internet (disableURLInternet)")
    elif target.rewrite is not None:
        try:
            bound.path = target.rewrite.apply(bound.path.decode("latin-1")).encode("latin-1", "replace")
        except errors.InvalidArgument as refused:
            bound.refusal = refused


def compile_trigger(trigger: Trigger) -> Target:
    """An HTTP trigger as the gateway uses it; `InvalidArgument` says what in its configuration cannot be."""
    config = triggers.http_config(trigger.config)
    target = Target(trigger.account_id, trigger.function_name, trigger.qualifier)
    target.id, target.epoch = trigger.trigger_id, trigger.epoch
    target.methods = frozenset(config.methods or ["GET"])
    target.auth = config.auth_type
    if config.auth_type is AuthKind.JWT:
        target.jwt = JwtRules(config.auth_config or "{}")
    if config.cors_config is not None and config.cors_config.allow_origins:
        target.cors = CorsRules(config.cors_config, target.methods)
    target.private_only = bool(config.disable_url_internet)
    return target


def compile_route(domain: Domain, route: Route) -> Target:
    """A route of a domain as the gateway uses it; `InvalidArgument`."""
    target = Target(domain.account_id, route.function_name, route.qualifier or ids.LATEST)
    target.methods = frozenset(route.methods or METHODS)
    auth = domain.auth
    target.auth = (auth.auth_type if auth is not None else None) or AuthKind.ANONYMOUS
    if target.auth is AuthKind.JWT:
        target.jwt = JwtRules((auth.auth_info if auth is not None else None) or "{}")
    if domain.cors is not None and domain.cors.allow_origins:
        target.cors = CorsRules(domain.cors, target.methods)
    if route.rewrite_config is not None:
        target.rewrite = RewriteRules(route.rewrite_config)
    return target


def _host_of(value: bytes) -> str:
    """The host of a Host header: lower case, without port and without a scheme that some clients put before it."""
    text = value.decode("latin-1").lower().rpartition("//")[2]
    if text.startswith("["):
        return text.partition("]")[0] + "]"
    return text.partition(":")[0]


def _is_private(peer: str) -> bool:
    try:
        return ipaddress.ip_address(peer.partition("%")[0]).is_private
    except ValueError:
        return True  # a unix socket
