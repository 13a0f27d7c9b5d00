"""What stands around a function, made as a deploy file asks: version, aliases, configurations, triggers, tags.

The order matters: an alias needs its version, a configuration or trigger may be for an alias. What the file does not
name is left alone, unless it is pruned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from functory.sdk import configs, differ, errors, steps
from functory.sdk.client import Client
from functory.sdk.configs import Configs
from functory.sdk.project import ProjectTrigger
from functory.sdk.steps import Action, Step
from functory.sdk.units import NEWEST, AliasWish, ConfigWish, Unit

COMING = "(new)"
"""The number of a version that a plan would publish."""
_OF_NO_VERSION = frozenset({
    "functionArn", "createdTime", "lastModifiedTime", "state", "stateReason", "stateReasonCode", "tags",
    "lastUpdateStatus", "lastUpdateStatusReason", "lastUpdateStatusReasonCode", "invocationRestriction",
})  # fmt: skip
"""Fields of a function that its versions do not freeze."""
DEFAULTS: dict[str, dict[str, Any]] = {
    "async": {
        "asyncTask": False,
        "maxAsyncRetryAttempts": 3,
        "maxAsyncEventAgeInSeconds": 86400,
        "destinationConfig": {},
    },
    "concurrency": {"reservedConcurrency": 0},
    "provision": {
        "defaultTarget": 0,
        "target": 0,
        "alwaysAllocateCPU": False,
        "alwaysAllocateGPU": False,
        "scheduledActions": [],
        "targetTrackingPolicies": [],
    },
    "scaling": {
        "minInstances": 0,
        "enableMixMode": False,
        "enableOnDemandScaling": True,
        "requestDispatchPolicy": "",
        "residentPoolId": "",
        "horizontalScalingPolicies": [],
        "scheduledPolicies": [],
    },
}
"""What a configuration holds that is set without a word."""


def around(client: Client, unit: Unit, *, pending: bool = False, prune: bool = False) -> Iterator[Step]:
    """The steps, in order. `pending`: the function itself is about to change (a plan, where it has not yet).

    `prune`: also delete triggers, aliases and configurations that the file does not name.
    """
    name = unit.project.name
    if unit.publish is not None:
        yield _publish(client, name, unit.publish, pending)
    for alias in unit.aliases:
        yield _alias(client, name, alias, coming=unit.publish is not None and pending)
    for config in unit.configs:
        yield _config(client, name, config)
    for trigger in unit.project.triggers or []:
        yield _trigger(client, name, trigger)
    if unit.tags is not None:
        yield _tags(client, name, unit.tags)
    if prune:
        yield from _unnamed(client, unit)


def configs_of(client: Client, noun: str) -> Configs:
    """The client's part for one kind of configuration."""
    found: Configs = {
        "async": client.async_configs,
        "concurrency": client.concurrency,
        "provision": client.provision,
        "scaling": client.scaling,
    }[noun]
    return found


def _publish(client: Client, name: str, description: str, pending: bool) -> Step:
    newest = steps.missing_as_none(lambda: client.versions.newest(name)) or ""
    if newest and not pending and _frozen(client, name, newest) == _frozen(client, name, ""):
        return steps.kept("version", newest)

    def act() -> str:
        try:
            return f"version {client.versions.publish(name, description).version_id}"
        except errors.ApiError as refusal:
            if refusal.code != "VersionPublishError":
                raise
            return f"version {newest} is the same"  # somebody else published it meanwhile

    after = str(int(newest or 0) + 1) if not newest or newest.isdigit() else COMING
    return Step(noun="version", name=after, action=Action.CREATE, act=act)


def _frozen(client: Client, name: str, qualifier: str) -> dict[str, Any]:
    found = client.functions.official(name, qualifier)
    return {key: value for key, value in found.items() if key not in _OF_NO_VERSION}


def _alias(client: Client, name: str, wish: AliasWish, *, coming: bool) -> Step:
    newest = COMING if coming else steps.missing_as_none(lambda: client.versions.newest(name)) or COMING
    wanted: dict[str, Any] = {"versionId": newest if wish.version == NEWEST else wish.version}
    if wish.weights is not None:
        shares = {newest if version == NEWEST else version: weight for version, weight in wish.weights.items()}
        # Until there is a second version, all calls go to the first.
        wanted["additionalVersionWeight"] = {key: one for key, one in shares.items() if key != wanted["versionId"]}
    if wish.description is not None:
        wanted["description"] = wish.description
    there = steps.missing_as_none(lambda: client.aliases.get(name, wish.name))
    if there is None:
        rest = {key: value for key, value in wanted.items() if key != "versionId"}

        def create() -> str:
            client.aliases.create(name, wish.name, wanted["versionId"], **rest)
            return f"→ version {wanted['versionId']}"

        return _step("alias", wish.name, Action.CREATE, differ.between(None, wanted), create)
    before = {
        "versionId": there.version_id,
        "additionalVersionWeight": there.additional_version_weight,
        "description": there.description,
    }

    def update() -> str:
        client.aliases.update(name, wish.name, wanted)
        return f"→ version {wanted['versionId']}"

    return _changed("alias", wish.name, before, wanted, update)


def _config(client: Client, name: str, wish: ConfigWish) -> Step:
    kind, wanted = configs_of(client, wish.noun), DEFAULTS[wish.noun] | wish.fields
    found = kind.find(name, wish.qualifier)
    before = {key: found.get(key, DEFAULTS[wish.noun].get(key)) for key in wanted} if found else None

    def act() -> str:
        kind.put(name, wanted, wish.qualifier)
        return ""

    shown = wish.qualifier if wish.noun != "concurrency" else name
    if before is None:
        return _step(wish.noun, shown, Action.CREATE, differ.between(DEFAULTS[wish.noun], wanted), act)
    return _changed(wish.noun, shown, before, wanted, act)


def _trigger(client: Client, name: str, wish: ProjectTrigger) -> Step:
    config, said = wish.full_config(), {"qualifier": wish.qualifier, "description": wish.description}
    fields = {key: value for key, value in said.items() if value is not None} | wish.further()
    there = steps.missing_as_none(lambda: client.triggers.get(name, wish.name))

    def create() -> str:
        if there is not None:
            client.triggers.delete(name, wish.name)  # its type cannot be changed
        return url_of(client.triggers.create(name, wish.name, wish.type, config, **fields))

    def update() -> str:
        changeable = {key: value for key, value in fields.items() if key != "sourceArn"}
        return url_of(client.triggers.update(name, wish.name, config, **changeable))

    if there is None:
        return _step("trigger", wish.name, Action.CREATE, differ.between(None, {"type": wish.type, **config}), create)
    if there.trigger_type != wish.type:
        kinds = differ.between({"type": there.trigger_type}, {"type": wish.type})
        return _step("trigger", wish.name, Action.UPDATE, kinds, create)
    before = {**there.config, "qualifier": there.qualifier, "description": there.description}
    wanted = {**dict.fromkeys(there.config), **config, **{key: fields[key] for key in before if key in fields}}
    return _changed("trigger", wish.name, before, wanted, update, url_of(there))


def url_of(trigger: Any) -> str:
    """Where it is called, or when it fires."""
    urls = trigger.http_trigger
    return (urls.url_internet or urls.url_intranet) if urls else str(trigger.config.get("cronExpression", ""))


def _tags(client: Client, name: str, wanted: dict[str, str]) -> Step:
    found = steps.missing_as_none(lambda: {one.tag_key: one.tag_value for one in client.tags.list([name])}) or {}
    gone = [key for key in found if key not in wanted]

    def act() -> str:
        if gone:
            client.tags.remove([name], gone)
        if wanted:
            client.tags.add([name], wanted)
        return ""

    if found == wanted:
        return steps.kept("tags", name)
    differences = differ.between(found, {**dict.fromkeys(gone), **wanted})
    return _step("tags", name, Action.UPDATE if found else Action.CREATE, differences, act)


def _unnamed(client: Client, unit: Unit) -> Iterator[Step]:
    """Deletes what the file does not name."""
    name = unit.project.name
    if steps.missing_as_none(lambda: client.functions.get(name)) is None:
        return
    triggers = {trigger.name for trigger in unit.project.triggers or []}
    for trigger in list(client.triggers.list(name)):
        if trigger.trigger_name not in triggers:
            yield _deletion("trigger", trigger.trigger_name, lambda gone: client.triggers.delete(name, gone))
    said = {(wish.noun, wish.qualifier) for wish in unit.configs}
    for noun in DEFAULTS:
        for config in list(configs_of(client, noun).list(name)):
            qualifier = configs.qualifier_of(config)
            if (noun, qualifier) not in said:
                of = configs_of(client, noun)
                yield _deletion(noun, qualifier, lambda gone, of=of: of.delete(name, gone))  # type: ignore[misc]
    aliases = {alias.name for alias in unit.aliases}
    for alias in list(client.aliases.list(name)):
        if alias.alias_name not in aliases:
            yield _deletion("alias", alias.alias_name, lambda gone: client.aliases.delete(name, gone))


def _deletion(noun: str, name: str, delete: Callable[[str], None]) -> Step:
    def act() -> str:
        delete(name)
        return ""

    return Step(noun=noun, name=name, action=Action.DELETE, act=act)


def _changed(
    noun: str, name: str, before: dict[str, Any], after: dict[str, Any], act: Callable[[], str], tell: str = ""
) -> Step:
    differences = differ.between(before, after)
    return _step(noun, name, Action.UPDATE, differences, act) if differences else steps.kept(noun, name, tell)


def _step(
    noun: str, name: str, action: Action, differences: tuple[differ.Difference, ...], act: Callable[[], str]
) -> Step:
    return Step(noun=noun, name=name, action=action, differences=differences, act=act)
