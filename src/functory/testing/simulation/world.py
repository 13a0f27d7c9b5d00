"""Clients, instances, destinations, and the node in its lives."""

from __future__ import annotations

import asyncio
import random
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from functory.blob.base import Blob
from functory.blob.memory import MemoryBlob
from functory.model import errors
from functory.model.invocation import Invocation, Outcome, Pending, Status
from functory.model.task import ENDED, AsyncConfig, TaskState
from functory.sinks.base import Delivery, NotNow, Undeliverable
from functory.tasks.accept import Submission
from functory.tasks.configs import StoredConfigs
from functory.tasks.service import TaskService
from functory.testing.configs import MemoryConfigs
from functory.testing.simulation import laws
from functory.testing.simulation.disk import Disk
from functory.testing.simulation.faults import Broken, Faults
from functory.testing.simulation.node import LEASE_MS, Generation, current
from functory.testing.virtual import VirtualLoop

ACCOUNT = "1"
FUNCTIONS = ("plain", "told", "fussy")
URL = "http://told.example/"
CONFIGS = (
    AsyncConfig(account_id=ACCOUNT, function_name="plain", max_retries=1, max_age_s=600),
    AsyncConfig(account_id=ACCOUNT, function_name="told", max_retries=2, max_age_s=900, on_success=URL, on_failure=URL),
    AsyncConfig(account_id=ACCOUNT, function_name="fussy", max_retries=0, max_age_s=60, on_failure=URL),
)


class World:
    """What one seed decides. Implements `node.Surroundings`."""

    def __init__(self, loop: VirtualLoop, seed: int, faults: Faults) -> None:
        self.loop = loop
        self.rng = random.Random(seed)
        self.faults = faults
        self.disk = Disk(self.rng, faults)
        self._configs = MemoryConfigs()
        self.blob: Blob = MemoryBlob()
        self.configs: StoredConfigs = self._configs
        self.wall_step_s = 0.0
        self.acknowledged: dict[tuple[str, str], int] = {}
        """Function and task id of what was acknowledged, and its row."""
        self.answered: set[tuple[str, str]] = set()
        """Tasks that some run of theirs answered well."""
        self.delivered: dict[str, int] = {}
        self.ghosts: list[Generation] = []
        self._births = 0
        self.generation: Generation
        loop.set_task_factory(self._make_task)
        loop.set_exception_handler(self._unhandled)
        self.unhandled: list[str] = []
        self.main: asyncio.Task[None] | None = None

    # --- what the node sees -------------------------------------------------------------------------------------------

    def invoke(self, generation: Generation, invocation: Invocation) -> Pending:
        """An instance of this world."""
        rng, pending = self.rng, Pending()
        fate = rng.random() if not self.disk.healed else 0.0
        if fate > 0.99:
            raise errors.FunctionNotFound(invocation.function_name)
        if fate > 0.97:
            raise errors.Unavailable("no instance can be made")
        name = (invocation.function_name, invocation.task_id)
        if name in generation.answered:
            self._broke(f"{name} has answered in this life of the node, and is run again in it")
        generation.running[invocation.request_id] = pending

        def answer() -> None:
            outcome = _outcome(fate, rng)
            if outcome.status is Status.OK:
                self.answered.add(name)
                if pending.outcome is None:
                    generation.answered.add(name)
            generation.hear(lambda: pending.resolve(outcome))

        lasts_s = rng.choice((0.001, 0.01, 0.3, 3.0, 11.0)) * rng.uniform(0.5, 1.5)
        self.loop.call_later(0 if fate > 0.9 else lasts_s, answer)
        return pending

    def cancel(self, generation: Generation, request_id: str, grace_s: float) -> None:
        """Ends a run after a while, if anybody hears."""
        pending = generation.running.get(request_id)
        if pending is not None and self.rng.random() < 0.7:
            outcome = Outcome(status=Status.CANCELLED)
            ends = partial(generation.hear, lambda: pending.resolve(outcome))
            self.loop.call_later(self.rng.uniform(0, max(grace_s, 0.001)), ends)

    async def start(self) -> None:
        """As a sink: nothing to start."""

    async def stop(self) -> None:
        """As a sink: nothing to stop."""

    async def deliver(self, delivery: Delivery) -> None:
        """A destination of this world."""
        await asyncio.sleep(self.rng.uniform(0, 2))
        generation = current.get()
        assert generation is not None
        await generation.awake.wait()
        fate = self.rng.random() if not self.disk.healed else 0.0
        if fate > 0.97:
            raise Undeliverable("410")
        if fate > 0.7:
            raise NotNow("503", retry_after_ms=1000)
        self.delivered[delivery.id] = self.delivered.get(delivery.id, 0) + 1
        if fate > 0.6:
            raise NotNow("it took it and forgot to say so")

    # --- what happens -------------------------------------------------------------------------------------------------

    async def live(self) -> None:
        """All lives of the node, then peace, then the laws."""
        await self.blob.start()
        for config in CONFIGS:
            await self._configs.put(config)
        await self._be_born()
        clients = [asyncio.ensure_future(self._client(number)) for number in range(self.faults.tasks)]
        for life in range(1, self.faults.lives + 1):
            await asyncio.sleep(self.rng.uniform(0.5, 16))
            if self.rng.random() < self.faults.suspend:
                await self._stand_still()
            if life < self.faults.lives:
                await self._die()
                await asyncio.sleep(self.rng.choice((0, 0.01, 3)))
                await self._be_born()
        await asyncio.gather(*clients)
        self.disk.healed = True
        if self.wall_step_s < 0:
            self.generation.clock.step_wall(-self.wall_step_s)
        await self._settle_down()
        await self.generation.service.stop()
        laws.judge(self)

    async def _stand_still(self) -> None:
        self.generation.suspend()
        await asyncio.sleep(self.rng.uniform(0.5, 4 * LEASE_MS / 1000))
        self.generation.resume()
        await asyncio.sleep(self.rng.uniform(0, 8))

    async def _be_born(self) -> None:
        if self.rng.random() < self.faults.clock:
            self.wall_step_s += self.rng.choice((-3600, -5, 5, 300))
        while True:
            self._births += 1
            generation = Generation(self, self._births)
            token = current.set(generation)
            try:
                await asyncio.create_task(generation.start())
            except (errors.FunctoryError, ExceptionGroup):
                self._crash(generation)  # as a supervisor would: again
                await asyncio.sleep(1)
            else:
                self.generation = generation
                ghosts, self.ghosts = self.ghosts, []
                for ghost in ghosts:
                    ghost.haunt()
                return
            finally:
                current.reset(token)

    async def _die(self) -> None:
        if self.rng.random() < self.faults.crash:
            self._crash(self.generation)
            return
        token = current.set(self.generation)
        try:
            await asyncio.wait_for(asyncio.create_task(self.generation.service.stop()), 300)
        except (errors.FunctoryError, ExceptionGroup):
            pass  # the disk was full just then: the next life takes back what this one held
        finally:
            current.reset(token)
        self._crash(self.generation)

    def _crash(self, generation: Generation) -> None:
        ghost = self.rng.random() < self.faults.ghost
        generation.crash(ghost=ghost)
        if ghost:
            self.ghosts.append(generation)

    async def _client(self, number: int) -> None:
        rng = self.rng
        await asyncio.sleep(rng.uniform(0, 40))
        name, task_id = rng.choice(FUNCTIONS), f"t{number}"
        payload = b"p" * rng.choice((0, 10, 10, 40_000))
        delay_s = rng.choice((0, 0, 0, 0.5, 20))
        times = 2 if rng.random() < self.faults.twice else 1
        for _ in range(times):
            await self._submit(name, task_id, payload, delay_s)
        if rng.random() < self.faults.stop:
            await asyncio.sleep(rng.choice((0, 0.1, 5)))
            await self._stop(name, task_id)

    async def _submit(self, name: str, task_id: str, payload: bytes, delay_s: float) -> None:
        """Until it is accepted or was before: a client that hears nothing asks again."""
        submission = Submission(
            account_id=ACCOUNT, function_name=name, task_id=task_id, payload=payload, delay_s=delay_s
        )
        while True:
            try:
                accepted = await asyncio.wait_for(self._submit_once(submission), 5)
            except errors.TaskAlreadyExists:
                if (name, task_id) not in self.acknowledged:
                    row = self.disk.connection.execute("SELECT id FROM queue WHERE key = ?", (task_id,)).fetchone()
                    if row is None:
                        raise Broken(f"{task_id} is said to exist and does not") from None
                    self.acknowledged[name, task_id] = row[0]
                return
            except (TimeoutError, errors.FunctoryError):
                await asyncio.sleep(self.rng.uniform(0.1, 2))
            else:
                if self.acknowledged.setdefault((name, task_id), accepted.id) != accepted.id:
                    raise Broken(f"{task_id} was accepted twice")
                return

    async def _submit_once(self, submission: Submission) -> Any:
        return await self._within(self.generation, lambda service: service.submit(submission))

    async def _stop(self, name: str, task_id: str) -> None:
        try:
            await asyncio.wait_for(
                self._within(self.generation, lambda service: service.tasks.stop(ACCOUNT, name, task_id)), 5
            )
        except (TimeoutError, errors.FunctoryError):
            return

    async def _within(self, generation: Generation, call: Callable[[TaskService], Any]) -> Any:
        """A call of the node: what it starts inside belongs to it and dies with it."""

        async def inside() -> Any:
            await generation.awake.wait()
            return await call(generation.service)

        token = current.set(generation)
        try:
            task = asyncio.create_task(inside())
        finally:
            current.reset(token)
        await asyncio.wait([task])
        if task.cancelled():
            raise errors.Unavailable("the node died before it answered")
        return task.result()

    async def _settle_down(self) -> None:
        waiting = ", ".join(str(int(state)) for state in TaskState if state not in ENDED)
        for pause_s in (*[1] * 20, *[5] * 60, *[60] * 60, *[3600] * 30):
            (left,) = self.disk.connection.execute(
                f"SELECT count(*) FROM queue WHERE state IN ({waiting})"
            ).fetchone() or (0,)
            if not left:
                return
            await asyncio.sleep(pause_s)
        rows = self.disk.connection.execute(
            "SELECT key, state, wake_ms, due_ms, rank FROM queue WHERE state < 10"
        ).fetchall()
        raise Broken(f"these never came to an end: {rows}, now {self.generation.queue.now_ms()}")

    # --- plumbing -----------------------------------------------------------------------------------------------------

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Whatever nobody catches is a mistake of ours, but what the dead leave unread."""
        failure = context.get("exception")
        if failure is None and "destroyed" in context["message"]:
            return  # of a dead node, waiting for a commit that never came
        if not isinstance(failure, errors.FunctoryError | Undeliverable | NotNow):
            self.unhandled.append(f"{context['message']}: {failure!r}")
            if failure is not None:
                self.unhandled += traceback.format_exception(failure)
            self._over()

    def _broke(self, law: str) -> None:
        self.unhandled.append(law)
        self._over()

    def _over(self) -> None:
        """Wherever it was noticed: no need to live on."""
        if self.main is not None:
            self.main.cancel()

    def fingerprint(self) -> str:
        """What happened, to compare two runs of a seed."""
        rows = self.disk.connection.execute(
            "SELECT id, key, state, attempts, history FROM queue ORDER BY id"
        ).fetchall()
        return f"{self.disk.commits} {self.loop.time():.6f} {rows}"

    def _make_task(self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, **options)
        owner = current.get()
        if owner is not None:
            tasks = owner.tasks
            tasks[task] = None
            task.add_done_callback(lambda ended: tasks.pop(ended, None))
        return task


def _outcome(fate: float, rng: random.Random) -> Outcome:
    if fate < 0.6:
        return Outcome(status=Status.OK, payload=b"r" * rng.choice((0, 5, 40_000)))
    if fate < 0.75:
        return Outcome(
            status=Status.FUNCTION_ERROR, error_type="UnhandledInvocationError", payload=b'{"errorMessage":"x"}'
        )
    if fate < 0.8:
        return Outcome(status=rng.choice((Status.TIMEOUT, Status.EXITED, Status.OUT_OF_MEMORY)), error_type="X")
    if fate < 0.9:
        return Outcome(status=Status.SYSTEM, message="a fault")
    return Outcome(status=Status.THROTTLED, message="full", retry_after_ms=rng.choice((0, 700)))
