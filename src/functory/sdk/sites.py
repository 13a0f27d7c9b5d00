"""What a deploy file asks for beside functions: layers before them, custom domains after them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from functory.sdk import differ, package, steps
from functory.sdk.client import Client
from functory.sdk.domains import Domain
from functory.sdk.steps import Action, Step
from functory.sdk.units import DomainWish, LayerWish

_NOT_THERE = "acs:fc:-:-:layers/{name}/versions/0"
"""Stands in a plan for the ARN of a layer that is not published yet."""


def layer(client: Client, wish: LayerWish) -> Step:
    """Publishes the next version of a layer if its files differ from the newest one's."""
    packed = package.pack(wish.source)
    newest = newest_of(client, wish.name)
    differences = differ.between(
        {"code": newest.code_checksum, "compatibleRuntime": newest.compatible_runtime} if newest else None,
        {"code": packed.checksum, "compatibleRuntime": wish.runtimes or (newest.compatible_runtime if newest else [])},
    )
    if newest is not None and not differences:
        return steps.kept("layer", wish.name, newest.layer_version_arn)

    def act() -> str:
        made = client.layers.publish(
            wish.name,
            packed.data,
            runtimes=wish.runtimes,
            description=wish.description,
            license_name=wish.license,
        )
        return made.layer_version_arn

    action = Action.UPDATE if newest else Action.CREATE
    return Step(noun="layer", name=wish.name, action=action, differences=differences, act=act)


def newest_of(client: Client, name: str) -> Any:
    """The newest version of a layer, or None."""
    versions = list(client.layers.versions(name))
    return max(versions, key=lambda one: one.version, default=None)


def arns(client: Client, named: Sequence[str]) -> list[str]:
    """Layers by name or ARN, as ARNs: a name means its newest version."""
    found = []
    for name in named:
        newest = None if name.startswith("acs:") else newest_of(client, name)
        found.append(
            name if name.startswith("acs:") else newest.layer_version_arn if newest else _NOT_THERE.format(name=name)
        )
    return found


def domain(client: Client, wish: DomainWish) -> Step:
    """Makes a custom domain what the file says."""
    there: Domain | None = steps.missing_as_none(lambda: client.domains.get(wish.name))
    wanted = _shared(there, wish) if wish.share_of else wish.fields
    if there is None:

        def create() -> str:
            client.domains.create(wish.name, wanted)
            return ""

        return Step(
            noun="domain",
            name=wish.name,
            action=Action.CREATE,
            differences=differ.between(None, wanted),
            act=create,
        )
    before = there.fields()
    differences = differ.between(before, _without_key(wanted))
    if not differences:
        return steps.kept("domain", wish.name)

    def update() -> str:
        client.domains.update(wish.name, wanted)
        return ""

    return Step(noun="domain", name=wish.name, action=Action.UPDATE, differences=differences, act=update)


def withdrawn(client: Client, wish: DomainWish) -> Iterator[Step]:
    """Deletes the domain; where it is shared, only the routes of its function, unless nothing else is left."""
    there: Domain | None = steps.missing_as_none(lambda: client.domains.get(wish.name))
    if there is None:
        return
    left = [route for route in there.routes if route.get("functionName") != wish.share_of] if wish.share_of else []

    def act() -> str:
        if left:
            client.domains.update(wish.name, {"routeConfig": {"routes": left}})
        else:
            client.domains.delete(wish.name)
        return ""

    action = Action.UPDATE if left else Action.DELETE
    yield Step(noun="domain", name=wish.name, action=action, act=act)


def _shared(there: Domain | None, wish: DomainWish) -> dict[str, Any]:
    """The routes of the function put among those of others, as the component fc3 does it."""
    own = {route["path"]: route for route in (wish.fields.get("routeConfig") or {}).get("routes") or []}
    listed = {route["path"]: route for route in (there.routes if there else [])} | own  # each stays in its place
    return {**wish.fields, "routeConfig": {"routes": list(listed.values())}}


def _without_key(fields: dict[str, Any]) -> dict[str, Any]:
    """The node never tells a private key, so it cannot be compared: a new one comes with a new certificate."""
    certificate = fields.get("certConfig")
    if not isinstance(certificate, dict):
        return fields
    told = {key: value for key, value in certificate.items() if key != "privateKey"}
    return {**fields, "certConfig": told}
