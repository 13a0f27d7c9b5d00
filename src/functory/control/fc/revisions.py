"""From an input to the next revision of a function: pure, all rules applied."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import structs

from functory.control.fc import containers, inputs, rules, shapes
from functory.control.fc.inputs import CreateFunctionInput, UpdateFunctionInput
from functory.control.fc.sizes import sizes
from functory.control.parts import Code
from functory.model import errors
from functory.model.function import Custom, Function

_NOT_ACTED_ON = (
    "customDNS",
    "gpuConfig",
    "juiceFsConfig",
    "microSandboxConfig",
    "nasConfig",
    "ossMountConfig",
    "polarFsConfig",
    "tracingConfig",
)
"""Kept fields whose lack of effect an owner would notice."""
_CUSTOM = "customRuntimeConfig"


def settings(given: UpdateFunctionInput, before: Function | None, runtime_note: str) -> dict[str, Any]:
    """The fields of a `Function` that follow from `given`, over those of `before`. Code and layers are not among them.

    `runtime_note`: what the node says about the runtime that results.
    """
    runtime = given.runtime or (before.runtime if before else "")
    changes: dict[str, Any] = {"runtime": runtime}
    if given.handler is None and before is None:
        changes["handler"] = _default_handler(runtime)
    elif given.handler is not None or (before and given.runtime):
        named = given.handler if given.handler is not None else (before.handler if before else "")
        changes["handler"] = rules.handler("handler", named, runtime)
    changes["cpu"], changes["memory_mb"] = _sizes(given, before)
    changes |= _numbers(given)
    if given.description is not None:
        changes["description"] = rules.text("description", given.description, 256)
    if given.environment_variables is not None:
        changes["environment"] = rules.environment(given.environment_variables)
    if given.instance_lifecycle_config is not None:
        changes |= _hooks(given.instance_lifecycle_config, runtime)
    if isinstance(given, CreateFunctionInput) and given.tags is not None:
        rules.tags(given.tags)
    changes["official"] = inputs.kept(given, before.official if before else {})
    rules.kept(changes["official"])
    changes["custom"] = _custom(changes["official"], runtime)
    changes["note"] = _note(runtime_note, changes)
    return changes


def with_code(changes: dict[str, Any], code: Code) -> dict[str, Any]:
    """`changes` with the code's names and size."""
    return changes | {
        "code_digest": code.digest,
        "code_checksum": code.checksum,
        "code_size_bytes": code.size_bytes,
    }


def first(account_id: str, function_id: str, name: str, now_ms: int, changes: dict[str, Any]) -> Function:
    """Revision 1."""
    return Function(
        account_id=account_id,
        name=name,
        function_id=function_id,
        created_at_ms=now_ms,
        modified_at_ms=now_ms,
        **changes,
    )


def following(before: Function, now_ms: int, changes: dict[str, Any]) -> Function:
    """The revision after `before`. Its time of change is never before the last one."""
    modified_at_ms = max(now_ms, before.modified_at_ms)
    after = structs.replace(before, epoch=before.epoch + 1, modified_at_ms=modified_at_ms, **changes)
    standing = after.standing
    if standing is not None and standing.restriction != after.restriction:  # what calls go to is disabled too
        standing = structs.replace(standing, restriction=after.restriction, epoch=after.epoch)
    return structs.replace(after, standing=standing) if standing is not after.standing else after


def _sizes(given: UpdateFunctionInput, before: Function | None) -> tuple[float, int]:
    if before is None:
        return sizes(given.cpu, given.memory_size)
    if given.cpu is None and given.memory_size is None:
        return before.cpu, before.memory_mb
    return sizes(
        before.cpu if given.cpu is None else given.cpu,
        before.memory_mb if given.memory_size is None else given.memory_size,
    )


def _numbers(given: UpdateFunctionInput) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if given.disk_size is not None:
        changes["disk_mb"] = rules.disk(given.disk_size)
    if given.timeout is not None:
        changes["timeout_s"] = rules.within("timeout", given.timeout, 1, 86400)
    if given.instance_concurrency is not None:
        changes["instance_concurrency"] = rules.within("instanceConcurrency", given.instance_concurrency, 1, 200)
    if given.idle_timeout is not None:
        changes["idle_timeout_s"] = rules.within("idleTimeout", given.idle_timeout, 0, 86400)
    return changes


def _hooks(given: shapes.InstanceLifecycle, runtime: str) -> dict[str, Any]:
    return {
        "initializer": rules.hook("instanceLifecycleConfig.initializer", given.initializer, runtime),
        "pre_stop": rules.hook("instanceLifecycleConfig.preStop", given.pre_stop, runtime),
    }


def _custom(official: dict[str, Any], runtime: str) -> Custom | None:
    """From the field as it stands after the change: what is not given again stays."""
    if runtime == containers.RUNTIME:
        return rules.custom_container(containers.config_of(official))
    return rules.custom_runtime(msgspec.convert(official.get(_CUSTOM, {}), shapes.CustomRuntime), runtime)


def _default_handler(runtime: str) -> str:
    """An image needs none; the field is there all the same, as in the official service."""
    if runtime != containers.RUNTIME:
        raise errors.InvalidArgument("the body is not valid: Object missing required field `handler`")
    return "index.handler"


def _note(runtime_note: str, changes: dict[str, Any]) -> str:
    """What the owner should know about how the function runs here."""
    idle = [name for name in _NOT_ACTED_ON if name in changes["official"]]
    container = changes["runtime"] == containers.RUNTIME
    if _CUSTOM in changes["official"] and (changes["custom"] is None or container):
        idle.append(_CUSTOM)
    if containers.FIELD in changes["official"] and not container:
        idle.append(containers.FIELD)
    notes = [runtime_note] if runtime_note else []
    if idle:
        notes.append(f"kept, but without effect on this node: {', '.join(idle)}")
    return "; ".join(notes)
