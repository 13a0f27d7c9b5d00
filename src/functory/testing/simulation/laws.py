"""The laws that are looked at when a world has come to rest. Those of every commit are `disk.Disk.check`'s."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functory.model.task import TaskState
from functory.queue.base import Lane
from functory.tasks import head
from functory.testing.simulation.faults import Broken

if TYPE_CHECKING:
    from functory.testing.simulation.world import World


def judge(world: World) -> None:
    """Laws 1, 3 and 5, and that nothing failed unseen."""
    if world.unhandled:
        raise Broken("".join(world.unhandled))
    told: dict[str, int] = {}
    for key, _ in world.disk.connection.execute("SELECT key, id FROM queue WHERE lane = ?", (int(Lane.DELIVERY),)):
        told[key] = told.get(key, 0) + 1
    rows = {}
    query = "SELECT id, key, state, attempts, head FROM queue WHERE lane = ?"
    for id_, key, state, attempts, head_ in world.disk.connection.execute(query, (int(Lane.TASK),)):
        rows[id_] = (key, TaskState(state))
        rules = head.decode(head_)
        destination = rules.on_success if state == TaskState.SUCCEEDED else rules.on_failure
        if told.pop(str(id_), 0) != bool(destination):
            raise Broken(f"{key} ended {TaskState(state).name}, and its destination {destination!r} was told otherwise")
        if attempts > rules.max_retries + 1:
            raise Broken(f"{key} had {attempts} attempts; {rules.max_retries + 1} are allowed")
        if state == TaskState.SUCCEEDED and not any(name[1] == key for name in world.answered):
            raise Broken(f"{key} succeeded, and no run of it answered")
    if told:
        raise Broken(f"destinations were told of what never ended: {told}")
    for (name, task_id), id_ in world.acknowledged.items():
        if id_ not in rows:
            raise Broken(f"{name} {task_id} was acknowledged and is lost")
    if len(world.acknowledged) != world.faults.tasks:
        raise Broken(f"{world.faults.tasks} tasks were submitted, {len(world.acknowledged)} acknowledged")
