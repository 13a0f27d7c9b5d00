"""Provisioned instances: Get, Put, Delete and ListProvisionConfig(s).

`target` instances stand ready for the qualifier, whether called or not; scheduled actions change that over time
(`instances.minimum`). Tracking policies are checked, kept and answered; this node does not act on them yet.
"""

from __future__ import annotations

from typing import Any

from starlette.routing import Route

from functory.control import call as calls
from functory.control.call import Call
from functory.control.fc import qualifiers, rules, schedules, shapes
from functory.control.fc.configs import ConfigsRoom, ListQuery
from functory.control.parts import ControlParts
from functory.instances import minimum
from functory.model.account import Scope
from functory.model.limits import MAX_TARGET, ProvisionConfig

ALL = "/2023-03-30/provision-configs"
ONE = "/2023-03-30/functions/{functionName}/provision-config"


class PutInput(shapes.Shape, frozen=True):
    """The body. `target` is deprecated and yet the one that clients must send; both are accepted."""

    always_allocate_cpu: bool | None = shapes.named("alwaysAllocateCPU")
    always_allocate_gpu: bool | None = shapes.named("alwaysAllocateGPU")
    default_target: int | None = None
    scheduled_actions: list[schedules.ScheduledAction] | None = None
    target: int | None = None
    target_tracking_policies: list[schedules.TrackingPolicy] | None = None


def routes(parts: ControlParts) -> list[Route]:
    """The routes of this room."""
    room = ProvisionRoom(parts, parts.store.provisions)
    return [
        calls.route("GET", ALL, Scope.READ, room.page, query=ListQuery),
        calls.route("GET", ONE, Scope.READ, room.get),
        calls.route("PUT", ONE, Scope.DEPLOY, room.put, body=PutInput),
        calls.route("DELETE", ONE, Scope.DEPLOY, room.delete),
    ]


class ProvisionRoom(ConfigsRoom[ProvisionConfig]):
    """The four operations."""

    listed_as = "provisionConfigs"

    def read(self, call: Call, name: str, qualifier: str) -> ProvisionConfig:
        given = calls.typed_body(call.body, PutInput)
        target = next((n for n in (given.target, given.default_target) if n is not None), 0)
        actions, policies = given.scheduled_actions or [], given.target_tracking_policies or []
        schedules.check_actions("scheduledActions", actions)
        schedules.check_policies("targetTrackingPolicies", policies)
        now_ms = self._parts.clock.now_ms()
        return ProvisionConfig(
            account_id=call.account_id,
            function_name=name,
            qualifier=qualifier,
            target=rules.within("target", target, 0, MAX_TARGET),
            official={
                "alwaysAllocateCPU": bool(given.always_allocate_cpu),
                "alwaysAllocateGPU": bool(given.always_allocate_gpu),
                "defaultTarget": rules.within("defaultTarget", given.default_target or 0, 0, MAX_TARGET),
                "scheduledActions": schedules.plain(actions),
                "targetTrackingPolicies": schedules.plain(policies),
            },
            created_at_ms=now_ms,
            modified_at_ms=now_ms,
        )

    async def now(self, config: ProvisionConfig) -> tuple[int, str]:
        """How many instances run of what was asked for, and why there are not more."""
        function = await qualifiers.resolve(
            self._parts.store, config.account_id, config.function_name, config.qualifier
        )
        ready, failure = self._parts.kept(function)
        wanted, _ = minimum.at(config, self._parts.clock.now_ms())
        return min(ready, wanted), failure if ready < wanted else ""

    def shown(self, config: ProvisionConfig, current: object) -> dict[str, Any]:
        ready, failure = current if isinstance(current, tuple) else (0, "")
        own = {"functionArn": self.arn(config), "target": config.target, "current": ready, "currentError": failure}
        return own | config.official

    def unset(self) -> dict[str, Any]:
        """As the official service: no error, but an answer without an ARN."""
        return {
            "functionArn": "",
            "target": 0,
            "defaultTarget": 0,
            "current": 0,
            "currentError": "",
            "alwaysAllocateCPU": False,
            "alwaysAllocateGPU": False,
            "scheduledActions": [],
            "targetTrackingPolicies": [],
        }
