"""Deliver to a function: an asynchronous invocation of it, whose task id is the delivery's id.

So the function that is told has its own retries, and a delivery that is repeated after a crash starts nothing new.

A function that is told may tell another one of its own end, and that one the first: whoever configures such a circle
rarely means it to go on for ever, and pays for each round. So a delivery says how many led to it, and the chain ends
after `MAX_HOPS` as a dead letter, which says so and can be sent again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from functory.model import errors
from functory.sinks import base
from functory.sinks.base import Delivery

MAX_HOPS = 16
"""The most functions that follow one another through destinations; the peers' loop detection stops there too."""

Submit = Callable[[str, str, str, bytes, str, int], Awaitable[object]]
"""`(account, function, qualifier, payload, task id, hops)`: accepts an asynchronous invocation durably."""


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
        if delivery.hops >= MAX_HOPS:
            raise base.Undeliverable(
                f"{MAX_HOPS} functions have been told one after the other, '{target.function_name}' would be the next: "
                "their destinations seem to form a circle; break it, or send this delivery again to go on"
            )
        try:
            await self._submit(
                delivery.account_id,
                target.function_name,
                target.qualifier,
                delivery.body,
                f"_{delivery.id}",
                delivery.hops + 1,
            )
        except errors.TaskAlreadyExists:
            return  # an earlier attempt was accepted
        except (errors.RequestError, errors.NotFound) as refusal:
            raise base.Undeliverable(str(refusal)) from refusal
        except errors.FunctoryError as failure:
            raise base.NotNow(str(failure)) from failure
