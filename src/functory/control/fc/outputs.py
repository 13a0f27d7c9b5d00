"""A function as the official API answers it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from functory.control.fc import containers
from functory.model import ids
from functory.model.function import Function, Hook


def time_text(at_ms: int) -> str:
    """`2026-11-23T10:00:00Z`."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def function(one: Function, region: str) -> dict[str, Any]:
    """The official `Function`: lists are always arrays, and nothing is null. A version's ARN ends with its number."""
    answer: dict[str, Any] = {
        "functionName": one.name,
        "functionId": one.function_id,
        "functionArn": ids.function_arn(region, one.account_id, one.name, one.version),
        "runtime": one.runtime,
        "handler": one.handler,
        "cpu": one.cpu,
        "memorySize": one.memory_mb,
        "diskSize": one.disk_mb,
        "timeout": one.timeout_s,
        "instanceConcurrency": one.instance_concurrency,
        "idleTimeout": one.idle_timeout_s,
        "description": one.description,
        "environmentVariables": one.environment,
        "layers": [{"arn": layer.arn, "size": layer.size_bytes} for layer in one.layers],
        "instanceLifecycleConfig": _hooks(one),
        "codeChecksum": one.code_checksum,
        "codeSize": one.code_size_bytes,
        "createdTime": time_text(one.created_at_ms),
        "lastModifiedTime": time_text(one.modified_at_ms),
        **containers.states(one),
        "internetAccess": True,
        "tags": [],
        "invocationRestriction": _restriction(one),
    }
    return answer | containers.shown(one)


def _restriction(one: Function) -> dict[str, Any]:
    if one.restriction is None:
        return {"disable": False, "reason": "", "lastModifiedTime": ""}
    at = time_text(one.restriction.at_ms)
    return {"disable": True, "reason": one.restriction.reason, "lastModifiedTime": at}


def _hooks(one: Function) -> dict[str, Any]:
    given = {"initializer": one.initializer, "preStop": one.pre_stop}
    return {name: _hook(hook) for name, hook in given.items() if hook is not None}


def _hook(hook: Hook) -> dict[str, Any]:
    return {"handler": hook.handler, "timeout": hook.timeout_s}
