"""What an owner reserves for a function: concurrency, and instances kept ready."""

from __future__ import annotations

from typing import Any, ClassVar

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


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Instances kept ready for a qualifier, whether called or not, in the words of one of two official APIs."""

    account_id: str
    function_name: str
    qualifier: str = ids.LATEST
    official: dict[str, Any] = {}
    """Scheduled actions, tracking policies and flags, checked and answered as they were given."""
    created_at_ms: int = 0
    modified_at_ms: int = 0

    ACTIONS: ClassVar[str]
    """What the API calls the list of scheduled actions."""
    POLICIES: ClassVar[str]
    """What it calls the list of tracking policies."""

    @property
    def number(self) -> int:
        """How many are asked for, before any schedule or policy."""
        raise AssertionError("each kind has a number")

    @property
    def actions(self) -> list[dict[str, Any]]:
        """The scheduled actions."""
        found: list[dict[str, Any]] = self.official.get(self.ACTIONS, [])
        return found

    @property
    def policies(self) -> list[dict[str, Any]]:
        """The tracking policies."""
        found: list[dict[str, Any]] = self.official.get(self.POLICIES, [])
        return found


class ProvisionConfig(Standing, frozen=True, kw_only=True):
    """`PutProvisionConfig`: so many instances stand ready; more are made on demand."""

    target: int = 0

    ACTIONS: ClassVar[str] = "scheduledActions"
    POLICIES: ClassVar[str] = "targetTrackingPolicies"

    @property
    def number(self) -> int:
        """`target`."""
        return self.target


class ScalingConfig(Standing, frozen=True, kw_only=True):
    """`PutScalingConfig`: so many instances stand ready, and perhaps no more than those."""

    min_instances: int = 0

    ACTIONS: ClassVar[str] = "scheduledPolicies"
    POLICIES: ClassVar[str] = "horizontalScalingPolicies"

    @property
    def number(self) -> int:
        """`minInstances`."""
        return self.min_instances


class Ready(msgspec.Struct, frozen=True):
    """How a configuration stands."""

    target: int
    """How many instances it wants now."""
    current: int
    """How many of them there are."""
    error: str
    """Why there are not more; empty if nothing failed."""
