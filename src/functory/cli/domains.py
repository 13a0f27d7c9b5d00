"""`domain`: host names of one's own, and the functions that their paths lead to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.text import Text

from functory.cli import nouns
from functory.cli.command import Command, connected, reading
from functory.sdk import Client
from functory.sdk.domains import Domain

F = TypeVar("F", bound=Callable[..., Any])
_CREATE = (
    "functory domain create www.example.com --route '/*=shop'",
    "functory domain create www.example.com --route 'GET,POST /api/*=shop@prod' --route '/*=site'",
    "functory domain create www.example.com --route '/*=shop' --protocol HTTPS --cert www.pem --key www.key",
)
_UPDATE = (
    "functory domain update www.example.com --add-route '/new/*=shop@canary'",
    "functory domain update www.example.com --drop-route '/new/*'",
    "functory domain update www.example.com --cert www.pem --key www.key",
)


@click.group(
    cls=nouns.group("ls", "show", "create", "update", "rm"),
    examples=("functory domain ls", "functory domain show www.example.com", "functory domain rm www.example.com"),
)
def domain() -> None:
    """List, make, change and remove custom domains."""


@domain.command(cls=Command, examples=("functory domain ls", "functory domain ls www. --json"))
@click.argument("prefix", default="")
@reading
@connected
def ls(client: Client, prefix: str, as_json: bool) -> None:
    """List the domains, or those whose name starts with PREFIX."""
    nouns.listed(
        list(client.domains.list(prefix)),
        as_json,
        ("DOMAIN", "PROTOCOL", "AUTH", "CERTIFICATE", "ROUTES"),
        lambda one: (
            one.domain_name,
            one.protocol,
            one.auth_config.get("authType", "anonymous"),
            one.cert_config.get("certName", ""),
            ", ".join(_route(route) for route in one.routes),
        ),
        "No custom domains yet. Make one: functory domain create www.example.com --route '/*=NAME'",
    )


@domain.command(cls=Command, examples=("functory domain show www.example.com", "functory domain show a.b --json"))
@click.argument("name")
@reading
@connected
def show(client: Client, name: str, as_json: bool) -> None:
    """Show one domain: its routes, certificate and rules."""
    one = client.domains.get(name)
    routes = [("route" if not n else "", _route(route)) for n, route in enumerate(one.routes)]
    facts = (
        ("domain", Text(one.domain_name, style="bold")),
        ("protocol", one.protocol),
        *routes,
        ("auth", one.auth_config.get("authType")),
        ("certificate", one.cert_config.get("certName")),
        ("tls", _pairs(one.tls_config)),
        ("cors", _pairs(one.cors_config)),
        ("changed", one.last_modified_time),
    )
    nouns.shown(one, as_json, facts)


def _route(route: dict[str, Any]) -> str:
    methods = ",".join(route.get("methods") or [])
    qualifier = route.get("qualifier") or ""
    to = f"{route.get('path')} → {route.get('functionName')}" + (f"@{qualifier}" if qualifier else "")
    return (f"{methods} {to}" if methods else to) + (" (rewritten)" if route.get("rewriteConfig") else "")


def _pairs(config: dict[str, Any]) -> str:
    return ", ".join(f"{key} {nouns.plain(value)}" for key, value in config.items() if value not in (None, [], ""))


def read_route(text: str) -> dict[str, Any]:
    """`GET,POST /api/*=shop@prod` as a route of the API. `click.BadParameter` if it is none."""
    methods, _, rest = text.strip().rpartition(" ")
    path, mark, target = rest.rpartition("=")
    function, _, qualifier = target.partition("@")
    if not (path.startswith("/") and mark and function):
        raise click.BadParameter(f"{text!r} is not [METHODS ]PATH=FUNCTION[@QUALIFIER], such as '/api/*=shop@prod'")
    listed = [method.strip().upper() for method in methods.split(",") if method.strip()]
    more = nouns.without_none(qualifier=qualifier or None, methods=listed or None)
    return {"path": path, "functionName": function, **more}


def _routes(ctx: click.Context, option: click.Parameter, values: tuple[str, ...]) -> list[dict[str, Any]]:
    return [read_route(value) for value in values]


def _settings(function: F) -> F:
    """The options that `create` and `update` share."""
    options = (
        click.option("--protocol", type=click.Choice(("HTTP", "HTTPS", "HTTP,HTTPS")), help="Default: HTTP."),
        click.option("--cert", type=click.Path(path_type=Path), metavar="FILE", help="Certificate chain in PEM."),
        click.option("--key", type=click.Path(path_type=Path), metavar="FILE", help="Its private key in PEM."),
        click.option("--cert-name", metavar="TEXT", help="What the certificate is called. Default: its file's name."),
        click.option("--auth", type=click.Choice(("anonymous", "function", "jwt")), help="Who may call."),
        click.option("--jwt", metavar="JSON|FILE", help="The rules of --auth jwt, as the API has them."),
        click.option("--tls-min", metavar="VERSION", help="The oldest version of TLS, such as TLSv1.2."),
        click.option(
            "--cors-origin", multiple=True, metavar="ORIGIN", help="A site that browsers may call from, or *."
        ),
        nouns.official,
    )
    for option in reversed(options):
        function = option(function)
    return function


@domain.command(cls=Command, examples=_CREATE)
@click.argument("name")
@click.option(
    "--route", "routes", multiple=True, required=True, callback=_routes, metavar="ROUTE",
    help="[METHODS ]PATH=FUNCTION[@QUALIFIER]; may be repeated.",
)  # fmt: skip
@_settings
@reading
@connected
def create(client: Client, name: str, routes: list[dict[str, Any]], as_json: bool, **said: Any) -> None:
    """Make a domain whose paths lead to functions."""
    fields = {"protocol": "HTTP", **_fields(**said), "routeConfig": {"routes": routes}}
    _tell("made", client.domains.create(name, fields), as_json)


@domain.command(cls=Command, examples=_UPDATE)
@click.argument("name")
@click.option(
    "--route", "routes", multiple=True, callback=_routes, metavar="ROUTE", help="Replace all routes by these."
)
@click.option("--add-route", "added", multiple=True, callback=_routes, metavar="ROUTE", help="Add or replace a route.")
@click.option("--drop-route", "dropped", multiple=True, metavar="PATH", help="Take a route away.")
@_settings
@reading
@connected
def update(
    client: Client,
    name: str,
    routes: list[dict[str, Any]],
    added: list[dict[str, Any]],
    dropped: tuple[str, ...],
    as_json: bool,
    **said: Any,
) -> None:
    """Change a domain. What is not said stays."""
    fields = _fields(**said)
    if routes or added or dropped:
        there = routes or client.domains.get(name).routes
        fields["routeConfig"] = {"routes": changed_routes(there, added, dropped)}
    if not fields:
        raise click.UsageError("nothing is to be changed: say what, see --help")
    _tell("changed", client.domains.update(name, fields), as_json)


def changed_routes(
    there: list[dict[str, Any]], added: list[dict[str, Any]], dropped: tuple[str, ...]
) -> list[dict[str, Any]]:
    """The routes with some more, and without those of some paths."""
    by_path = {route["path"]: route for route in [*there, *added]}
    for path in dropped:
        if by_path.pop(path, None) is None:
            raise click.UsageError(f"there is no route {path}: there are {', '.join(by_path) or 'none'}")
    return list(by_path.values())


def _fields(
    protocol: str | None,
    cert: Path | None,
    key: Path | None,
    cert_name: str | None,
    auth: str | None,
    jwt: str | None,
    tls_min: str | None,
    cors_origin: tuple[str, ...],
    fields: dict[str, Any] | None,
) -> dict[str, Any]:
    """The options as fields of the API."""
    said = {**(fields or {}), **nouns.without_none(protocol=protocol)}
    if (cert is None) != (key is None):
        raise click.UsageError("a certificate needs both --cert and --key")
    if cert is not None and key is not None:
        name = cert_name or "".join(letter if letter.isalnum() else "-" for letter in cert.stem)
        said["certConfig"] = {"certName": name, "certificate": _pem(cert), "privateKey": _pem(key)}
    if auth is not None or jwt is not None:
        said["authConfig"] = {"authType": auth or "jwt", **({"authInfo": _text(jwt)} if jwt else {})}
    if tls_min is not None:
        said["tlsConfig"] = {**said.get("tlsConfig", {}), "minVersion": tls_min}
    if cors_origin:
        said["corsConfig"] = {**said.get("corsConfig", {}), "allowOrigins": list(cors_origin)}
    return said


def _pem(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as failure:
        raise click.UsageError(f"{path} cannot be read: {failure}") from None


def _text(value: str) -> str:
    return value if value.lstrip().startswith("{") else _pem(Path(value))


def _tell(what: str, one: Domain, as_json: bool) -> None:
    if as_json:
        nouns.shown(one, True, ())
        return
    nouns.done(what, one.domain_name, f": {', '.join(_route(route) for route in one.routes)}")


@domain.command(name="rm", cls=Command, examples=("functory domain rm www.example.com",))
@click.argument("name")
@connected
def remove(client: Client, name: str) -> None:
    """Remove a domain; its functions stay."""
    client.domains.delete(name)
    nouns.done("removed", name)
