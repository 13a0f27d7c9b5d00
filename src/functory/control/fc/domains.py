"""CreateCustomDomain, GetCustomDomain, UpdateCustomDomain, DeleteCustomDomain, ListCustomDomains."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.routing import Route as HttpRoute

from functory.control import call as calls
from functory.control import uploads
from functory.control.call import Call
from functory.control.commit import to_the_end
from functory.control.fc import certificates, outputs, paging, rules, shapes, triggers
from functory.control.parts import ControlParts
from functory.model import domain as domains
from functory.model import errors, ids
from functory.model.account import Scope
from functory.model.domain import AuthConfig, Certificate, Domain, Route, RouteConfig, TlsConfig
from functory.model.trigger import AuthKind, Cors
from functory.observe import logs
from functory.web.jwt_rules import JwtRules
from functory.web.rewrite import RewriteRules

log = logging.getLogger("functory.control")

ALL = "/2023-03-30/custom-domains"
ONE = "/2023-03-30/custom-domains/{domainName}"


class CertConfig(shapes.Shape, frozen=True):
    """A certificate with its key, in PEM. All empty = none."""

    cert_name: str | None = None
    certificate: str | None = None
    private_key: str | None = None


class UpdateDomainInput(shapes.Shape, frozen=True):
    """What may change. A field that is missing or null stays as it is."""

    auth_config: AuthConfig | None = None
    cert_config: CertConfig | None = None
    cors_config: Cors | None = None
    protocol: str | None = None
    route_config: RouteConfig | None = None
    tls_config: TlsConfig | None = None


class CreateDomainInput(UpdateDomainInput, frozen=True, kw_only=True):
    """A new domain."""

    domain_name: str


def routes(parts: ControlParts) -> list[HttpRoute]:
    """The routes of this room."""
    room = DomainsRoom(parts)
    return [
        calls.route("GET", ALL, Scope.READ, room.page, query=triggers.Query),
        calls.route("POST", ALL, Scope.DEPLOY, room.create, body=CreateDomainInput),
        calls.route("GET", ONE, Scope.READ, room.get),
        calls.route("PUT", ONE, Scope.DEPLOY, room.update, body=UpdateDomainInput),
        calls.route("DELETE", ONE, Scope.DEPLOY, room.delete),
    ]


class DomainsRoom:
    """The five operations."""

    def __init__(self, parts: ControlParts) -> None:
        self._parts = parts
        self._domains = parts.store.domains

    async def create(self, call: Call) -> Response:
        given = calls.typed_body(call.body, CreateDomainInput)
        now_ms = self._parts.clock.now_ms()
        name = domains.check_domain_name(given.domain_name)
        if self._parts.is_own_host(name) or uploads.is_own_host(name):
            # Who holds the node's name gets the signed requests and tokens of all accounts.
            raise errors.AccessDenied(f"domainName '{name}' is a name of this node itself")
        bare = Domain(account_id=call.account_id, name=name, created_at_ms=now_ms, modified_at_ms=now_ms, epoch=0)
        domain = _following(bare, given, now_ms)
        await to_the_end(self._commit_new(domain))
        _log("Custom domain created", "create_domain", call, domain)
        return _answer(domain)

    async def get(self, call: Call) -> Response:
        return _answer(await self._domains.get(call.account_id, _name(call)))

    async def update(self, call: Call) -> Response:
        given = calls.typed_body(call.body, UpdateDomainInput)
        domain = await to_the_end(self._change(call, given))
        _log("Custom domain changed", "update_domain", call, domain)
        return _answer(domain)

    async def delete(self, call: Call) -> Response:
        domain = await to_the_end(self._remove(call))
        _log("Custom domain deleted", "delete_domain", call, domain)
        return calls.no_content()

    async def page(self, call: Call) -> Response:
        query = calls.typed_query(call.query, triggers.Query, strict=False)
        limit = paging.check_limit(query.limit)
        after = paging.key_after(query.next_token)
        found = await self._domains.list(call.account_id, prefix=query.prefix.lower(), after=after, limit=limit + 1)
        answer: dict[str, Any] = {"customDomains": [_shape(one) for one in found[:limit]]}
        if len(found) > limit:
            answer["nextToken"] = paging.token(found[limit - 1].name)
        return calls.answer(answer)

    async def _commit_new(self, domain: Domain) -> None:
        await self._domains.create(domain)
        self._parts.on_domain_changed(domain)

    async def _change(self, call: Call, given: UpdateDomainInput) -> Domain:
        for _ in range(self._parts.limits.update_tries):
            before = await self._domains.get(call.account_id, _name(call))
            calls.check_match(call, _etag(before))
            after = _following(before, given, self._parts.clock.now_ms())
            try:
                await self._domains.replace(after)
            except errors.ConcurrentUpdate:
                continue
            self._parts.on_domain_changed(after)
            return after
        raise errors.ConcurrentUpdate("the custom domain is being changed by others too often; try again")

    async def _remove(self, call: Call) -> Domain:
        before = await self._domains.get(call.account_id, _name(call))
        calls.check_match(call, _etag(before))
        domain = await self._domains.delete(call.account_id, before.name, epoch=calls.fence(call, before.epoch))
        self._parts.on_domain_deleted(domain)
        return domain


def _etag(domain: Domain) -> str:
    # A domain made anew has another time of birth.
    return calls.etag_of(f"{domain.created_at_ms:x}", domain.epoch)


def _answer(domain: Domain) -> Response:
    return calls.answer(_shape(domain), etag=_etag(domain))


def _name(call: Call) -> str:
    return call.params["domainName"].lower()


def _following(before: Domain, given: UpdateDomainInput, now_ms: int) -> Domain:
    """The revision after `before`, checked as a whole."""
    after = msgspec.structs.replace(
        before,
        protocol=before.protocol if given.protocol is None else given.protocol,
        routes=before.routes if given.route_config is None else given.route_config,
        auth=before.auth if given.auth_config is None else given.auth_config,
        cors=before.cors if given.cors_config is None else given.cors_config,
        tls=before.tls if given.tls_config is None else given.tls_config,
        certificate=before.certificate if given.cert_config is None else _certificate(given.cert_config),
        modified_at_ms=max(now_ms, before.modified_at_ms),
        epoch=before.epoch + 1,
    )
    check(after)
    return after


def _certificate(given: CertConfig) -> Certificate | None:
    if not (given.certificate or given.private_key or given.cert_name):
        return None
    name = rules.text("certConfig.certName", given.cert_name or "", 128)
    return Certificate(name=name, chain=given.certificate or "", private_key=given.private_key or "")


def check(domain: Domain) -> None:
    """Passes if the domain can be served; `InvalidArgument` says what cannot."""
    if domain.protocol not in domains.PROTOCOLS:
        raise errors.InvalidArgument(f"protocol {domain.protocol[:40]!r} is not one of {', '.join(domains.PROTOCOLS)}")
    listed = domain.routes.routes or []
    rules.within("the number of routes", len(listed), 0, domains.MAX_ROUTES)
    if len({route.path for route in listed}) != len(listed):
        raise errors.InvalidArgument("routeConfig: a path is given twice")
    for route in listed:
        _check_route(route)
    triggers.check_cors("corsConfig", domain.cors)
    if domain.auth is not None and domain.auth.auth_type is AuthKind.JWT:
        JwtRules(domain.auth.auth_info or "{}")
    if domain.encrypted and domain.certificate is None:
        raise errors.InvalidArgument("protocol HTTPS needs certConfig: certificate and privateKey in PEM")
    certificates.check_tls(domain.tls)
    if domain.certificate is not None:
        certificates.check(domain.certificate, domain.name, domain.tls)


def _check_route(route: Route) -> None:
    head, star, rest = route.path.partition("*")
    if not (head.startswith("/") and not rest and (not star or head.endswith("/")) and route.path.isascii()):
        raise errors.InvalidArgument(
            f"routeConfig path {route.path[:80]!r} is not valid: /a exactly, or /a/* for all below"
        )
    rules.text("routeConfig path", route.path, 512)
    ids.check_function_name(route.function_name)
    rules.text("routeConfig qualifier", route.qualifier or "", 128)
    triggers.check_methods("routeConfig methods", route.methods)
    if route.rewrite_config is not None:
        RewriteRules(route.rewrite_config)


def _shape(one: Domain) -> dict[str, Any]:
    """The official `CustomDomain`. A private key that was stored is never told again."""
    answer: dict[str, Any] = {
        "accountId": one.account_id,
        "apiVersion": "2023-03-30",
        "domainName": one.name,
        "protocol": one.protocol,
        "routeConfig": {"routes": [], **msgspec.to_builtins(one.routes)},
        "authConfig": msgspec.to_builtins(one.auth) if one.auth is not None else {"authType": "anonymous"},
        "corsConfig": msgspec.to_builtins(one.cors) if one.cors is not None else {},
        "tlsConfig": msgspec.to_builtins(one.tls) if one.tls is not None else {},
        "createdTime": outputs.time_text(one.created_at_ms),
        "lastModifiedTime": outputs.time_text(one.modified_at_ms),
        "subdomainCount": "0",
    }
    if one.certificate is not None:
        answer["certConfig"] = {"certName": one.certificate.name, "certificate": one.certificate.chain}
    return answer


def _log(sentence: str, action: str, call: Call, domain: Domain) -> None:
    key = call.principal.access_key_id
    log.info(sentence, extra=logs.fields(action, request_id=call.request_id, key=key, domain=domain.name))
