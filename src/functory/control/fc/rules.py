"""The limits of a function's fields. Each check answers what is stored, or says which value broke which rule."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from functory.control.fc import containers, shapes
from functory.model import errors
from functory.model.function import Custom, HealthCheck, Hook
from functory.model.template import SNAPSHOT_MODES, SNAPSHOT_VARIABLE
from functory.runtimes import handlers

ENVIRONMENT_BYTES = 4096
MAX_LAYERS = 5
MAX_TAGS = 20
MAX_KEPT_BYTES = 65536
MAX_WORDS, MAX_WORDS_CHARS = 256, 16384
DISK_SIZES_MB = (512, 10240)

_ENVIRONMENT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_PATH = re.compile(r"/?[\x21-\x7e]{0,1023}")
_MAX_HANDLER = 256


def within(name: str, value: int, low: int, high: int) -> int:
    """The value, if it lies between both bounds."""
    if not low <= value <= high:
        raise errors.InvalidArgument(f"{name} {value} is not valid: {low} to {high}")
    return value


def text(name: str, value: str, longest: int) -> str:
    """The text, if it is not too long."""
    if len(value) > longest:
        raise errors.InvalidArgument(f"{name} has {len(value)} characters; {longest} are allowed")
    return value


def disk(value: int) -> int:
    """512 or 10240 MB."""
    if value not in DISK_SIZES_MB:
        raise errors.InvalidArgument(f"diskSize {value} is not valid: 512 or 10240 (MB)")
    return value


def handler(field: str, value: str, runtime: str) -> str:
    """Of the form that the runtime has; for custom runtimes any text."""
    if not 0 < len(value) <= _MAX_HANDLER or "\0" in value:
        raise errors.InvalidArgument(f"{field} is not valid: 1 to {_MAX_HANDLER} characters")
    handlers.check(field, value, runtime)
    return value


def environment(value: dict[str, str]) -> dict[str, str]:
    """At most 4 KB in all; names start with a letter and are not the platform's own."""
    for name, content in value.items():
        if not _ENVIRONMENT_NAME.fullmatch(name):
            raise errors.InvalidArgument(
                f"environmentVariables: {name[:80]!r} is not a name: letters, digits and '_', starting with a letter"
            )
        if name.startswith("FC_"):
            raise errors.InvalidArgument(f"environmentVariables: {name[:80]!r} is reserved: FC_ is the platform's")
        if "\0" in content:
            raise errors.InvalidArgument(f"environmentVariables: the value of {name[:80]!r} holds a NUL character")
    snapshot = value.get(SNAPSHOT_VARIABLE, "auto")
    if snapshot not in SNAPSHOT_MODES:
        raise errors.InvalidArgument(
            f"environmentVariables: {SNAPSHOT_VARIABLE} {snapshot[:80]!r} is not one of {', '.join(SNAPSHOT_MODES)}"
        )
    size = sum(len(name.encode()) + len(content.encode()) for name, content in value.items())
    if size > ENVIRONMENT_BYTES:
        raise errors.InvalidArgument(
            f"environmentVariables have {size} bytes in names and values; {ENVIRONMENT_BYTES} are allowed"
        )
    return value


def tags(value: Sequence[shapes.Tag]) -> None:
    """At most 20, of different keys."""
    if len(value) > MAX_TAGS:
        raise errors.InvalidArgument(f"tags: {len(value)} are given; {MAX_TAGS} are allowed")
    if len({tag.key for tag in value}) != len(value):
        raise errors.InvalidArgument("tags: a key is given twice")
    for tag in value:
        within("the length of a tag's Key", len(tag.key), 1, 128)
        within("the length of a tag's Value", len(tag.value), 0, 128)


def hook(field: str, given: shapes.LifecycleHook | None, runtime: str) -> Hook | None:
    """A life cycle hook, or None for an empty one."""
    if given is None:
        return None
    if given.command:
        raise errors.InvalidArgument(f"{field}.command is not supported by this node", hint="name a handler")
    if not given.handler:
        return None
    return Hook(
        handler=handler(f"{field}.handler", given.handler, runtime),
        timeout_s=within(f"{field}.timeout", given.timeout or 3, 1, 300),
    )


def custom_runtime(given: shapes.CustomRuntime, runtime: str) -> Custom | None:
    """How a custom runtime is started; None for runtimes that start themselves."""
    if not runtime.startswith("custom") or runtime == containers.RUNTIME:
        return None
    return Custom(
        command=_words("customRuntimeConfig.command", given.command),
        args=_words("customRuntimeConfig.args", given.args),
        port=within("customRuntimeConfig.port", given.port, 1, 65535) if given.port else 0,
        health=health("customRuntimeConfig.healthCheckConfig", given.health_check_config),
    )


def custom_container(given: shapes.CustomContainer) -> Custom:
    """How the program of an image is started: `entrypoint` and `command` are the words of container engines."""
    if given.acceleration_type not in (None, "", "Default", "None"):
        raise errors.InvalidArgument("customContainerConfig.accelerationType is not valid: Default or None")
    return Custom(
        command=_words("customContainerConfig.entrypoint", given.entrypoint),
        args=_words("customContainerConfig.command", given.command),
        port=within("customContainerConfig.port", given.port, 1, 65535) if given.port else 0,
        health=health("customContainerConfig.healthCheckConfig", given.health_check_config),
    )


def health(field: str, given: shapes.HealthCheck | None) -> HealthCheck | None:
    """A health check within the official bounds, or None for an empty one."""
    if given is None or not given.http_get_url:
        return None

    def bounded(name: str, value: int | None, low: int, high: int, otherwise: int) -> int:
        return otherwise if value is None else within(f"{field}.{name}", value, low, high)

    return HealthCheck(
        path=_path(f"{field}.httpGetUrl", given.http_get_url),
        initial_delay_s=bounded("initialDelaySeconds", given.initial_delay_seconds, 0, 120, 0),
        period_s=bounded("periodSeconds", given.period_seconds, 1, 120, 3),
        timeout_s=bounded("timeoutSeconds", given.timeout_seconds, 1, 3, 1),
        failure_threshold=bounded("failureThreshold", given.failure_threshold, 1, 120, 3),
        success_threshold=bounded("successThreshold", given.success_threshold, 1, 120, 1),
    )


def _path(field: str, value: str) -> str:
    if not _PATH.fullmatch(value):
        raise errors.InvalidArgument(f"{field} {value[:80]!r} is not valid: a path, as in /healthy")
    return value


def _words(field: str, given: list[str] | None) -> tuple[str, ...]:
    words = tuple(given or ())
    if len(words) > MAX_WORDS or sum(map(len, words)) > MAX_WORDS_CHARS or any("\0" in word for word in words):
        raise errors.InvalidArgument(
            f"{field} is not valid: at most {MAX_WORDS} words, {MAX_WORDS_CHARS} characters, no NUL"
        )
    if words and not words[0] and field.endswith("command"):
        raise errors.InvalidArgument(f"{field} begins with an empty word")
    return words


def kept(value: dict[str, object]) -> None:
    """What is only kept must be small."""
    size = len(msgspec.json.encode(value))
    if size > MAX_KEPT_BYTES:
        raise errors.InvalidArgument(
            f"the configuration beside the code has {size} bytes; {MAX_KEPT_BYTES} are allowed"
        )
