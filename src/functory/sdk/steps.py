"""One step of a deployment: what would be done to one thing, and the doing of it.

A plan is a deployment whose steps are not taken: both walk the same steps, each of which looks when its turn comes.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec

from functory.sdk import differ, errors
from functory.sdk.differ import Difference


class Action(StrEnum):
    """What is done."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    KEEP = "keep"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing, and what is done to it."""

    noun: str
    """function, layer, version, alias, trigger, async, concurrency, provision, scaling, tags, domain."""
    name: str
    action: Action
    differences: tuple[Difference, ...] = ()
    act: Callable[[], str]
    """Does it; answers what there is to tell, such as a URL."""

    def described(self) -> dict[str, Any]:
        """As JSON."""
        changes = [
            {
                "field": one.field,
                "before": differ.shown(one.field, one.before),
                "after": differ.shown(one.field, one.after),
            }
            for one in self.differences
        ]
        return {"noun": self.noun, "name": self.name, "action": str(self.action), "changes": changes}


def kept(noun: str, name: str, tell: str = "") -> Step:
    """Nothing is to be done."""
    return Step(noun=noun, name=name, action=Action.KEEP, act=lambda: tell)


def missing_as_none(get: Callable[[], Any]) -> Any:
    """What `get` answers, or None if the node says that it is not there."""
    try:
        return get()
    except errors.ApiError as refusal:
        if refusal.status != 404:
            raise
        return None
