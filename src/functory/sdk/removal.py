"""Functions taken away with all that would keep them: triggers, provisioned instances, minimums."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from functory.sdk import configs, sites, steps
from functory.sdk.client import Client
from functory.sdk.steps import Action, Step
from functory.sdk.units import Stack


def function(client: Client, name: str) -> Iterator[Step]:
    """The steps that remove one function; none if it is not there."""
    if steps.missing_as_none(lambda: client.functions.get(name)) is None:
        return
    for trigger in [one.trigger_name for one in client.triggers.list(name)]:
        yield _deletion("trigger", trigger, lambda gone=trigger: client.triggers.delete(name, gone))  # type: ignore[misc]
    for noun, kind in (("provision", client.provision), ("scaling", client.scaling)):
        for qualifier in [configs.qualifier_of(one) for one in kind.list(name)]:
            yield _deletion(noun, qualifier, lambda of=kind, gone=qualifier: of.delete(name, gone))  # type: ignore[misc]
    yield _deletion("function", name, lambda: client.functions.delete(name))


def stack(client: Client, wanted: Stack) -> Iterator[Step]:
    """All that the file names: domains, functions, then layers."""
    for domain in wanted.domains:
        yield from sites.withdrawn(client, domain)
    for unit in wanted.units:
        yield from function(client, unit.project.name)
    for wish in wanted.layers:
        for version in [one.version for one in client.layers.versions(wish.name)]:
            name = f"{wish.name} {version}"
            yield _deletion("layer", name, lambda of=wish.name, gone=version: client.layers.delete(of, gone))  # type: ignore[misc]


def _deletion(noun: str, name: str, delete: Callable[[], None]) -> Step:
    def act() -> str:
        delete()
        return ""

    return Step(noun=noun, name=name, action=Action.DELETE, act=act)
