"""The limits of a function's fields. Each check answers what is stored, or says which value broke which rule."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from functory.control.fc import shapes
from functory.model import errors
from functory.model.function import Hook

ENVIRONMENT_BYTES = 4096
MAX_LAYERS = 5
MAX_TAGS = 20
MAX_KEPT_BYTES = 65536
DISK_SIZES_MB = (512, 10240)

_ENVIRONMENT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_PYTHON_HANDLER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_/-]*(\.[A-Za-z_][A-Za-z0-9_]*)+", re.ASCII)
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
    """`file.function` for Python; for other runtimes any text, whose form is theirs."""
    if not 0 < len(value) <= _MAX_HANDLER or "\0" in value:
        raise errors.InvalidArgument(f"{field} is not valid: 1 to {_MAX_HANDLER} characters")
    if runtime.startswith("python") and not _PYTHON_HANDLER.fullmatch(value):
        raise errors.InvalidArgument(
            f"{field} {value[:80]!r} is not valid: it must be file.function, as in index.handler"
        )
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


def kept(value: dict[str, object]) -> None:
    """What is only kept must be small."""
    size = len(msgspec.json.encode(value))
    if size > MAX_KEPT_BYTES:
        raise errors.InvalidArgument(
            f"the configuration beside the code has {size} bytes; {MAX_KEPT_BYTES} are allowed"
        )
