"""What a delivery carries: the record of an ended task, made of the task's row when it is sent, or as it was edited."""

from __future__ import annotations

from functory.model import errors
from functory.queue.base import Leased, Queue, Row
from functory.tasks import envelope
from functory.tasks.bodies import Bodies


class Letters:
    """Bodies of deliveries."""

    def __init__(self, queue: Queue, bodies: Bodies, *, region: str) -> None:
        self._queue = queue
        self._bodies = bodies
        self._region = region

    async def task_of(self, delivery: Leased) -> Row:
        """The task that a delivery tells of; `TaskNotFound` if it is no longer kept."""
        row = await self._queue.by_id(int(delivery.head))
        if row is None:
            raise errors.TaskNotFound("that it tells of (it is no longer kept)")
        return row

    async def body(self, delivery: Leased, task: Row | None = None) -> bytes:
        """The JSON; `TaskNotFound`, `StorageCorrupt`."""
        if delivery.payload.size_bytes:
            return await self._bodies.load(delivery.payload)
        task = task or await self.task_of(delivery)
        request, response = await self._bodies.load(task.payload), await self._bodies.load(task.result)
        return envelope.build(task, request, response, region=self._region)
