"""Provisioned instances: Get, Put, Delete and ListProvisionConfig(s).

`target` instances stand ready for the qualifier, whether called or not; scheduled actions (`instances.minimum`) and
tracking policies (`instances.tracking`) change that over time. What is answered as `target` is what is wanted now.
"""

from __future__ import annotations

from typing import Any

from starlette.routing import Route

from functory.control import call as calls
from functory.control.call import Call
from functory.control.fc import rules, schedules, shapes
from functory.control.fc.standing import Asked, StandingRoom
from functory.control.parts import ControlParts
from functory.model.limits import MAX_TARGET, ProvisionConfig, Ready

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
    return ProvisionRoom(parts, parts.store.provisions).routes(ONE, ALL)


class ProvisionRoom(StandingRoom[ProvisionConfig]):
    """The four operations."""

    listed_as = "provisionConfigs"
    kind = ProvisionConfig
    body = PutInput
    number_as = "target"

    def asked(self, call: Call) -> Asked:
        given = calls.typed_body(call.body, PutInput)
        return Asked(
            next((n for n in (given.target, given.default_target) if n is not None), 0),
            given.scheduled_actions or [],
            given.target_tracking_policies or [],
            {
                "alwaysAllocateCPU": bool(given.always_allocate_cpu),
                "alwaysAllocateGPU": bool(given.always_allocate_gpu),
                "defaultTarget": rules.within("defaultTarget", given.default_target or 0, 0, MAX_TARGET),
            },
        )

    def made(self, number: int, common: dict[str, Any]) -> ProvisionConfig:
        return ProvisionConfig(target=number, **common)

    def shown(self, config: ProvisionConfig, current: object) -> dict[str, Any]:
        ready = current if isinstance(current, Ready) else Ready(config.target, 0, "")
        own = {"functionArn": self.arn(config), "target": ready.target}
        return own | {"current": ready.current, "currentError": ready.error} | config.official

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
