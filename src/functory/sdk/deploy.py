"""From a folder to a function, sending only what changed.

1. `project` says what the function shall be; `package` packs the code.
2. `requirements.txt`, if it asks for anything, becomes a layer on the node.
3. The node says what the function is; `plan` compares, purely.
4. `apply` creates, updates or does nothing. A change by somebody else in between makes it look again.

What stands around a function (versions, aliases, triggers, configurations, domains) is the business of `surroundings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from functory.sdk import differ, errors, settled
from functory.sdk import project as projects
from functory.sdk.client import Client
from functory.sdk.functions import CustomRuntime, Function
from functory.sdk.package import Package
from functory.sdk.project import Project

_TRIES = 3
_NEW = Function(function_name="", memory_size=projects.DEFAULTS["memorySize"], cpu=projects.DEFAULT_CPU)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be sent."""

    create: bool
    fields: dict[str, Any]
    """Fields of CreateFunction or UpdateFunction."""
    send_code: bool

    @property
    def nothing(self) -> bool:
        """All is as it shall be."""
        return not (self.create or self.fields or self.send_code)


class Deployed(msgspec.Struct, frozen=True, kw_only=True):
    """What was done."""

    function: Function
    plan: Plan


def plan(
    current: Function | None,
    source: Path | None,
    project: Project,
    package: Package | None,
    layer: str,
    official: Mapping[str, Any] | None = None,
) -> Plan:
    """Compares what is with what shall be.

    `source` and `package`: None for a function that runs an image. `layer`: ARN of the dependencies, or empty.
    `official`: the function with all its fields, needed if the project names some in official words.
    """
    wanted = _wanted(current, source, project, layer)
    if current is None:
        return Plan(create=True, fields=projects.DEFAULTS | wanted, send_code=package is not None)
    there = {**(official or {}), **_as_fields(current)}
    changed = {key: value for key, value in wanted.items() if _differs(key, there.get(key), value)}
    send_code = package is not None and current.code_checksum != package.checksum
    return Plan(create=False, fields=changed, send_code=send_code)


def _differs(field: str, before: object, after: object) -> bool:
    if field == "environmentVariables":
        return (before or {}) != (after or {})  # a variable that is empty is not one that is missing
    if field == "customContainerConfig" and isinstance(before, dict):
        before = {key: value for key, value in before.items() if key != "resolvedImageUri"}  # the node's own word
    if before is None and isinstance(after, dict | list) and differ.is_shell(after):
        return False  # the node keeps no shells
    return not differ.same(before, after)


def look(
    client: Client, source: Path | None, project: Project, package: Package | None, layer: str
) -> tuple[Function | None, Plan, tuple[differ.Difference, ...]]:
    """The function as it stands, what has to be sent, and what would change by it. Nothing is changed."""
    current, official = _found(client, project)
    steps = plan(current, source, project, package, layer, official)
    there = {**official, **_as_fields(current)} if current else {}
    changes = [
        differ.Difference(field=key, before=there.get(key), after=value)
        for key, value in steps.fields.items()
        if _differs(key, there.get(key), value)
    ]
    if steps.send_code and package is not None:
        before = current.code_checksum if current else None
        changes.append(differ.Difference(field="code", before=before, after=package.checksum))
    return current, steps, tuple(changes)


def _found(client: Client, project: Project) -> tuple[Function | None, dict[str, Any]]:
    """The function, and all its fields if the project names some in official words."""
    current = find(client, project.name)
    return current, client.functions.official(project.name) if current and project.official else {}


def apply(client: Client, source: Path | None, project: Project, package: Package | None, layer: str) -> Deployed:
    """Makes the function what the folder says. `ProjectError`, `ImageError` or `ApiError` if it cannot be."""
    for attempt in range(_TRIES):
        current, official = _found(client, project)
        steps = plan(current, source, project, package, layer, official)
        try:
            sent = _sent(client, project.name, current, steps, package)
            return Deployed(function=settled.wait(client, sent), plan=steps)
        except errors.ApiError as refusal:
            # Somebody else created, changed or deleted it after we looked.
            raced = refusal.code in ("ConcurrentUpdateError", "FunctionAlreadyExists", "FunctionNotFound")
            if not raced or attempt == _TRIES - 1:
                raise
    raise AssertionError("unreachable: the last try returns or raises")


def is_dependencies(arn: str) -> bool:
    """Whether a layer is one that the node built of requirements."""
    return ":layers/functory-deps-" in arn


def find(client: Client, name: str) -> Function | None:
    """The function as it stands, or None."""
    try:
        return client.functions.get(name)
    except errors.ApiError as refusal:
        if refusal.code == "FunctionNotFound":
            return None
        raise


def _sent(client: Client, name: str, current: Function | None, steps: Plan, package: Package | None) -> Function:
    if current is None:
        return client.functions.create(name, steps.fields, package.data if package else None)
    if steps.nothing:
        return current
    return client.functions.update(name, steps.fields, package.data if package and steps.send_code else None)


def _wanted(current: Function | None, source: Path | None, project: Project, layer: str) -> dict[str, Any]:
    runtime = project.runtime or (current.runtime if current else projects.DEFAULT_RUNTIME)
    handler = _handler(current, source, project, runtime)
    layers = [*(project.layers or []), *([layer] if layer else [])]
    wanted = project.fields() | {"runtime": runtime, "handler": handler, "layers": layers}
    if project.cpu is None:
        memory_mb = wanted.get("memorySize") or (current or _NEW).memory_size
        wanted["cpu"] = projects.fitting_cpu(memory_mb, (current or _NEW).cpu)
    if project.environment is not None:
        wanted["environmentVariables"] = dict(project.environment)
    hooks = _hooks(project, current)
    if hooks is not None:
        wanted["instanceLifecycleConfig"] = hooks
    return wanted


def _handler(current: Function | None, source: Path | None, project: Project, runtime: str) -> str:
    there = current.handler if current else ""
    if source is None:
        return project.handler or there or "index.handler"
    handler = project.handler or projects.find_handler(source, runtime, there)
    projects.check_handler(source, runtime, handler)
    return handler


def _hooks(project: Project, current: Function | None) -> dict[str, Any] | None:
    """The life cycle as it shall be; None = nothing is said. The two hooks travel as one field, so both are named."""
    if project.initializer is None and project.pre_stop is None:
        return None
    there = _as_fields(current).get("instanceLifecycleConfig", {}) if current else {}
    said = {"initializer": project.initializer, "preStop": project.pre_stop}
    for key, handler in said.items():
        if handler:
            there = {**there, key: {**there.get(key, {}), "handler": handler}}
        elif handler == "":
            there = {name: hook for name, hook in there.items() if name != key}
    return there


def _as_fields(function: Function) -> Mapping[str, Any]:
    """A function in the words of CreateFunction."""
    lifecycle = function.instance_lifecycle_config
    hooks = {
        key: {"handler": hook.handler} | ({"timeout": hook.timeout} if hook.timeout is not None else {})
        for key, hook in (
            ("initializer", lifecycle.initializer if lifecycle else None),
            ("preStop", lifecycle.pre_stop if lifecycle else None),
        )
        if hook is not None and hook.handler
    }
    return {
        "runtime": function.runtime,
        "handler": function.handler,
        "memorySize": function.memory_size,
        "cpu": function.cpu,
        "diskSize": function.disk_size,
        "timeout": function.timeout,
        "instanceConcurrency": function.instance_concurrency or 1,
        "description": function.description or "",
        "environmentVariables": function.environment_variables or {},
        "layers": [layer.arn for layer in function.layers or []],
        "instanceLifecycleConfig": hooks,
        "customRuntimeConfig": _custom(function.custom_runtime_config),
    }


def _custom(there: CustomRuntime | None) -> dict[str, Any]:
    """How it is started, without what nobody said."""
    if there is None:
        return {}
    said = {"command": there.command, "args": there.args, "port": there.port}
    return {key: value for key, value in said.items() if value}
