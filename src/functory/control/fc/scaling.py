"""Bounds of the number of instances: Get, Put, Delete and ListScalingConfig(s).

`minInstances` stand ready for the qualifier, as provisioned ones do. Policies and pools are checked, kept and
answered; this node does not act on them.
"""

from __future__ import annotations

from typing import Any

from starlette.routing import Route

from functory.control import call as calls
from functory.control.call import Call
from functory.control.fc import qualifiers, rules, schedules, shapes
from functory.control.fc.configs import ConfigsRoom, ListQuery
from functory.control.parts import ControlParts
from functory.model.account import Scope
from functory.model.limits import MAX_TARGET, ScalingConfig

ALL = "/2023-03-30/scaling-configs"
ONE = "/2023-03-30/functions/{functionName}/scaling-config"


class PutInput(shapes.Shape, frozen=True):
    """The body."""

    enable_mix_mode: bool | None = None
    enable_on_demand_scaling: bool | None = None
    horizontal_scaling_policies: list[schedules.ScalingPolicy] | None = None
    min_instances: int | None = None
    request_dispatch_policy: str | None = None
    resident_pool_id: str | None = None
    scheduled_policies: list[schedules.ScheduledAction] | None = None


def routes(parts: ControlParts) -> list[Route]:
    """The routes of this room."""
    room = ScalingRoom(parts, parts.store.scalings)
    return [
        calls.route("GET", ALL, Scope.READ, room.page, query=ListQuery),
        calls.route("GET", ONE, Scope.READ, room.get),
        calls.route("PUT", ONE, Scope.DEPLOY, room.put, body=PutInput),
        calls.route("DELETE", ONE, Scope.DEPLOY, room.delete),
    ]


class ScalingRoom(ConfigsRoom[ScalingConfig]):
    """The four operations."""

    listed_as = "scalingConfigs"

    def read(self, call: Call, name: str, qualifier: str) -> ScalingConfig:
        given = calls.typed_body(call.body, PutInput)
        policies, actions = given.horizontal_scaling_policies or [], given.scheduled_policies or []
        schedules.check_policies("horizontalScalingPolicies", policies)
        schedules.check_actions("scheduledPolicies", actions)
        now_ms = self._parts.clock.now_ms()
        return ScalingConfig(
            account_id=call.account_id,
            function_name=name,
            qualifier=qualifier,
            min_instances=rules.within("minInstances", given.min_instances or 0, 0, MAX_TARGET),
            official={
                "enableMixMode": bool(given.enable_mix_mode),
                "enableOnDemandScaling": given.enable_on_demand_scaling is not False,
                "requestDispatchPolicy": rules.text("requestDispatchPolicy", given.request_dispatch_policy or "", 64),
                "residentPoolId": rules.text("residentPoolId", given.resident_pool_id or "", 128),
                "horizontalScalingPolicies": schedules.plain(policies),
                "scheduledPolicies": schedules.plain(actions),
            },
            created_at_ms=now_ms,
            modified_at_ms=now_ms,
        )

    async def now(self, config: ScalingConfig) -> tuple[int, str]:
        """How many instances run, and why there are not more."""
        function = await qualifiers.resolve(
            self._parts.store, config.account_id, config.function_name, config.qualifier
        )
        ready, failure = self._parts.kept(function)
        return ready, failure if ready < config.min_instances else ""

    def shown(self, config: ScalingConfig, current: object) -> dict[str, Any]:
        ready, failure = current if isinstance(current, tuple) else (0, "")
        return {
            "functionArn": self.arn(config),
            "minInstances": config.min_instances,
            "targetInstances": config.min_instances,
            "currentInstances": ready,
            "currentError": failure,
            **config.official,
        }

    def unset(self) -> dict[str, Any]:
        """As the official service: no error, but an answer without an ARN."""
        return {
            "functionArn": "",
            "minInstances": 0,
            "targetInstances": 0,
            "currentInstances": 0,
            "currentError": "",
            "horizontalScalingPolicies": [],
            "scheduledPolicies": [],
        }
