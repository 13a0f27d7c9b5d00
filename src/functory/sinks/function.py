"""Deliver to a function: an asynchronous invocation of it, whose task id is the delivery's id.

So the function that is told has its own retries, and a delivery that is repeated after a crash starts nothing new.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from functory.model import errors
from functory.sinks import base
from functory.sinks.base import Delivery

Submit = Callable[[str, str, str, bytes, str], Awaitable[object]]
"""`(account, function, qualifier, payload, task id)`: accepts an asynchronous invocation durably."""


class FunctionSink:
    """`sinks.base.Sink` for functions of this node."""

    def __init__(self, submit: Submit) -> None:
        self._submit = submit

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    async def deliver(self, delivery: Delivery) -> None:
        """Returns once the invocation is accepted."""
        target = base.parse(delivery.destination)
        try:
            await self._submit(
                delivery.account_id, target.function_name, target.qualifier, delivery.body, f"_{delivery.id}"
            )
        except errors.TaskAlreadyExists:
            return  # an earlier attempt was accepted
        except (errors.RequestError, errors.NotFound) as refusal:
            raise base.Undeliverable(str(refusal)) from refusal
        except errors.FunctoryError as failure:
            raise base.NotNow(str(failure)) from failure
