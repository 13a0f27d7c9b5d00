"""What an owner reserves for a function: concurrency, and instances kept ready."""

from __future__ import annotations

from typing import Any

import msgspec

from functory.model import ids

MAX_TARGET = 10_000
"""The most instances that may be asked for."""


class ConcurrencyConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`PutConcurrencyConfig`: how many calls of a function may run at once; nobody else may use these places."""

    account_id: str
    function_name: str
    qualifier: str = ""
    """Always empty: it holds for all versions together."""
    reserved: int
    """0 = nothing may run."""
    created_at_ms: int = 0
    modified_at_ms: int = 0


class ProvisionConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`PutProvisionConfig`: instances that are kept ready for a qualifier, whether called or not."""

    account_id: str
    function_name: str
    qualifier: str = ids.LATEST
    target: int = 0
    """How many."""
    official: dict[str, Any] = {}
    """Scheduled actions, policies and flags, checked and answered as they were given."""
    created_at_ms: int = 0
    modified_at_ms: int = 0


class ScalingConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`PutScalingConfig`: bounds of the number of instances of a qualifier."""

    account_id: str
    function_name: str
    qualifier: str = ids.LATEST
    min_instances: int = 0
    """How many are kept ready."""
    official: dict[str, Any] = {}
    """Policies and flags, checked and answered as they were given."""
    created_at_ms: int = 0
    modified_at_ms: int = 0
