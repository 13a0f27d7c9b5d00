"""Reserved concurrency: Get, Put, Delete and ListConcurrencyConfig. `invoke.admit` enforces it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.routing import Route

from functory.control import call as calls
from functory.control.call import Call
from functory.control.fc import rules, shapes
from functory.control.fc.configs import ConfigsRoom
from functory.control.parts import ControlParts
from functory.model import errors
from functory.model.limits import ConcurrencyConfig

ALL = "/2023-03-30/concurrency-configs"
ONE = "/2023-03-30/functions/{functionName}/concurrency"


class PutInput(shapes.Shape, frozen=True, kw_only=True):
    """The body."""

    reserved_concurrency: int


def routes(parts: ControlParts) -> list[Route]:
    """The routes of this room."""
    return ConcurrencyRoom(parts, parts.store.concurrency).routes(ONE, ALL)


class ConcurrencyRoom(ConfigsRoom[ConcurrencyConfig]):
    """The four operations."""

    body = PutInput
    qualified = False

    def read(self, call: Call, name: str, qualifier: str) -> ConcurrencyConfig:
        given = calls.typed_body(call.body, PutInput)
        most = self._parts.limits.account_concurrency
        now_ms = self._parts.clock.now_ms()
        return ConcurrencyConfig(
            account_id=call.account_id,
            function_name=name,
            reserved=rules.within("reservedConcurrency", given.reserved_concurrency, 0, most),
            created_at_ms=now_ms,
            modified_at_ms=now_ms,
        )

    def check(self, config: ConcurrencyConfig, others: Sequence[ConcurrencyConfig]) -> None:
        most, taken = self._parts.limits.account_concurrency, sum(one.reserved for one in others)
        if taken + config.reserved > most:
            raise errors.LimitExceeded(
                f"reservedConcurrency {config.reserved} is not possible: other functions of the account reserve "
                f"{taken} of its {most} places"
            )

    def shown(self, config: ConcurrencyConfig, current: object) -> dict[str, Any]:
        return {"functionArn": self.arn(config), "reservedConcurrency": config.reserved}
