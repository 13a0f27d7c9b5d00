"""Instances that stand ready, called or not: what the rooms of provision and scaling configurations have in common.

Both name a number, scheduled actions and tracking policies for a qualifier; they differ in the names of their fields.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from functory.control.call import Call
from functory.control.fc import rules, schedules
from functory.control.fc.configs import ConfigsRoom
from functory.model.limits import MAX_TARGET, Ready, Standing

S = TypeVar("S", bound=Standing)


class Asked(NamedTuple):
    """What a Put asks for."""

    number: int
    actions: Sequence[schedules.ScheduledAction]
    policies: Sequence[schedules.TrackingPolicy | schedules.ScalingPolicy]
    flags: dict[str, Any]
    """The rest of the official fields, checked."""


class StandingRoom(ConfigsRoom[S], Generic[S]):
    """The four operations of one kind."""

    kind: type[S]
    number_as: str
    """The official name of the number."""

    @abc.abstractmethod
    def asked(self, call: Call) -> Asked:
        """What the body asks for."""

    @abc.abstractmethod
    def made(self, number: int, common: dict[str, Any]) -> S:
        """The configuration, of its number and the fields that both kinds have."""

    def read(self, call: Call, name: str, qualifier: str) -> S:
        asked = self.asked(call)
        schedules.check_actions(self.kind.ACTIONS, asked.actions)
        schedules.check_policies(self.kind.POLICIES, asked.policies)
        lists = {
            self.kind.ACTIONS: schedules.plain(asked.actions),
            self.kind.POLICIES: schedules.plain(asked.policies),
        }
        now_ms = self._parts.clock.now_ms()
        common = {
            "account_id": call.account_id,
            "function_name": name,
            "qualifier": qualifier,
            "official": asked.flags | lists,
            "created_at_ms": now_ms,
            "modified_at_ms": now_ms,
        }
        return self.made(rules.within(self.number_as, asked.number, 0, MAX_TARGET), common)

    async def now(self, config: S) -> Ready:
        """How many instances run of what was asked for, and why there are not more."""
        return self._parts.ready(config)
