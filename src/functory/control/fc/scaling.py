"""Bounds of the number of instances: Get, Put, Delete and ListScalingConfig(s).

`minInstances` stand ready for the qualifier, as provisioned ones do, with the same schedules and policies;
`targetInstances` is what is wanted now. Without `enableOnDemandScaling` no others are made. There is one pool of
machines here, this node: the fields about pools are kept and answered.
"""

from __future__ import annotations

from typing import Any

from starlette.routing import Route

from functory.control import call as calls
from functory.control.call import Call
from functory.control.fc import rules, schedules, shapes
from functory.control.fc.standing import Asked, StandingRoom
from functory.control.parts import ControlParts
from functory.model.limits import Ready, ScalingConfig

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
    return ScalingRoom(parts, parts.store.scalings).routes(ONE, ALL)


class ScalingRoom(StandingRoom[ScalingConfig]):
    """The four operations."""

    listed_as = "scalingConfigs"
    kind = ScalingConfig
    body = PutInput
    number_as = "minInstances"

    def asked(self, call: Call) -> Asked:
        given = calls.typed_body(call.body, PutInput)
        return Asked(
            given.min_instances or 0,
            given.scheduled_policies or [],
            given.horizontal_scaling_policies or [],
            {
                "enableMixMode": bool(given.enable_mix_mode),
                "enableOnDemandScaling": given.enable_on_demand_scaling is not False,
                "requestDispatchPolicy": rules.text("requestDispatchPolicy", given.request_dispatch_policy or "", 64),
                "residentPoolId": rules.text("residentPoolId", given.resident_pool_id or "", 128),
            },
        )

    def made(self, number: int, common: dict[str, Any]) -> ScalingConfig:
        return ScalingConfig(min_instances=number, **common)

    def shown(self, config: ScalingConfig, current: object) -> dict[str, Any]:
        ready = current if isinstance(current, Ready) else Ready(config.min_instances, 0, "")
        return {
            "functionArn": self.arn(config),
            "minInstances": config.min_instances,
            "targetInstances": ready.target,
            "currentInstances": ready.current,
            "currentError": ready.error,
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
