"""What a task's row carries for us and the queue does not look into: the rules it was accepted under.

They are those of its acceptance: a configuration changed later is for tasks accepted later.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from functory.model import errors
from functory.model.task import DEFAULT_RETRIES, AsyncConfig


class Head(msgspec.Struct, frozen=True, array_like=True):
    """`array_like`: stored as a list, so fields are only ever appended."""

    max_retries: int = DEFAULT_RETRIES
    on_success: str = ""
    on_failure: str = ""
    task_mode: bool = False
    trace_parent: str = ""
    rerun_of: str = ""
    """The task that this one repeats."""
    hops: int = 0
    """How many destinations led here, one calling the next."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Head).decode


def encode(config: AsyncConfig, *, trace_parent: str = "", rerun_of: str = "", hops: int = 0) -> bytes:
    """The head of a task under a configuration."""
    if trace_parent or rerun_of or hops:
        return _encode(_head(config, trace_parent, rerun_of, hops))
    return _plain(config.max_retries, config.on_success, config.on_failure, config.task_mode)


@lru_cache(maxsize=1024)
def _plain(max_retries: int, on_success: str, on_failure: str, task_mode: bool) -> bytes:
    return _encode(Head(max_retries, on_success, on_failure, task_mode))


@lru_cache(maxsize=1024)
def decode(head: bytes) -> Head:
    """The head again; `StorageCorrupt` if it is none."""
    try:
        return _decode(head)
    except msgspec.DecodeError as reason:
        raise errors.StorageCorrupt(f"the head of a task cannot be read: {reason}") from reason


def _head(config: AsyncConfig, trace_parent: str, rerun_of: str, hops: int) -> Head:
    return Head(
        config.max_retries, config.on_success, config.on_failure, config.task_mode, trace_parent, rerun_of, hops
    )
