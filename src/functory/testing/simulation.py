"""A world in which everything that can go wrong with tasks does, decided by a seed.

The real accept, dispatch, settle, sweep and deliver code runs over real SQLite in memory, on virtual time. Around it:

* a disk that is slow, stalls, is full for a while, or dies: before a commit (what waited is lost) or after it (what was
  stored was never answered)
* nodes that crash, stop gracefully, and come back; some as ghosts: a frozen process whose results arrive when another
  has long taken over
* instances that are quick, slow or for ever, answer, fail, throttle, exit; functions that are deleted
* clients that hear nothing and submit again, stop tasks, run them again
* destinations that refuse, delay, take a thing and forget to say so
* a wall clock that steps

Laws, looked at after every commit and at the end:

1  what was acknowledged is there, and comes to an end
2  an end never changes
3  every end has exactly one record for its destination, if it has one, and none if not
4  no function holds more slots than its limit
5  no task has more attempts than it may, and none Succeeded without an answer
6  who lost a lease changes nothing

`run(seed)` raises `Broken` with the seed; the same seed runs the same way.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
import traceback
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

import apsw
import msgspec

from functory.blob.memory import MemoryBlob
from functory.model import errors, ids
from functory.model.invocation import Invocation, Outcome, Pending, Status
from functory.model.task import ENDED, AsyncConfig, TaskState
from functory.queue.base import Grant, Group, Lane, Move, Moved, Row
from functory.queue.fair import Limits
from functory.queue.memory import MemoryConfigs
from functory.queue.pump import PumpConfig
from functory.queue.sqlite import SqliteQueue
from functory.sinks.base import Delivery, Kind, NotNow, Undeliverable
from functory.store import queries
from functory.store.sqlite import failures
from functory.tasks import head
from functory.tasks.accept import Submission
from functory.tasks.dispatch import DispatchConfig
from functory.tasks.service import TaskConfig, TaskService
from functory.testing.virtual import VirtualClock, VirtualLoop

T = TypeVar("T")

ACCOUNT = "1"
FUNCTIONS = ("plain", "told", "fussy")
URL = "http://told.example/"
LIMIT = 3
LEASE_MS = 8_000
CONFIGS = (
    AsyncConfig(account_id=ACCOUNT, function_name="plain", max_retries=1, max_age_s=600),
    AsyncConfig(account_id=ACCOUNT, function_name="told", max_retries=2, max_age_s=900, on_success=URL, on_failure=URL),
    AsyncConfig(account_id=ACCOUNT, function_name="fussy", max_retries=0, max_age_s=60, on_failure=URL),
)

_generation: contextvars.ContextVar[Generation | None] = contextvars.ContextVar("generation", default=None)


class Broken(AssertionError):
    """A law was broken; the message names the seed that shows it."""


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """How bad a world is; probabilities are per event."""

    tasks: int = 10
    lives: int = 4
    """How often the node is started."""
    crash: float = 0.7
    """That a life ends by a crash and not gracefully."""
    ghost: float = 0.3
    """That a crashed node is only frozen."""
    full: float = 0.03
    """That the disk is full when a group is to be committed."""
    stall: float = 0.05
    """That a commit takes seconds."""
    twice: float = 0.2
    """That a client submits what was accepted already."""
    stop: float = 0.15
    clock: float = 0.2
    """That a life begins with a wall clock that steps."""


# --- the disk ---------------------------------------------------------------------------------------------------------


class Disk:
    """One database that outlives the nodes, and the laws that hold after each commit."""

    def __init__(self, rng: random.Random, faults: Faults) -> None:
        self.rng = rng
        self.faults = faults
        self.healed = False
        self.connection = apsw.Connection(":memory:")
        self.connection.deserialize("main", _schema())
        self._ends: dict[int, tuple[Any, ...]] = {}
        self.commits = 0

    def check(self) -> None:
        """Laws 2 and 4."""
        self.commits += 1
        ends: dict[int, tuple[Any, ...]] = {}
        for id_, *end in self.connection.execute(_ENDS):
            ends[id_] = tuple(end)
        for id_, end in self._ends.items():
            if ends.get(id_) != end:
                raise Broken(f"the end of row {id_} was {end} and is {ends.get(id_)}")
        self._ends = ends
        for group_id, count in self.connection.execute(_SLOTS):
            if count > LIMIT:
                raise Broken(f"group {group_id} holds {count} slots; {LIMIT} are allowed")


_ENDS = "SELECT id, state, ended_ms, result, error_type, history FROM queue WHERE state >= 10"
_SLOTS = "SELECT group_id, count(*) FROM queue WHERE state IN (2, 3) AND lane = 1 GROUP BY group_id"
_image: list[bytes] = []


def _schema() -> bytes:
    if not _image:
        connection = apsw.Connection(":memory:")
        for step in queries.migrations():
            connection.execute(step.sql)
        _image.append(connection.serialize("main"))
        connection.close()
    return _image[0]


class SimWriter:
    """Group commit as the real writer's, on virtual time. `queue.sqlite.database.Writes`."""

    def __init__(self, disk: Disk, loop: VirtualLoop) -> None:
        self._disk = disk
        self._loop = loop
        self._waiting: list[tuple[Callable[[apsw.Connection], Any], asyncio.Future[Any]]] = []
        self._busy = False
        self._frozen = False
        self.dead = False

    def submit(self, job: Callable[[apsw.Connection], T]) -> asyncio.Future[T]:
        """The future of a job's result."""
        future: asyncio.Future[T] = self._loop.create_future()
        if not self.dead:
            self._waiting.append((job, future))
            self._go_on()
        return future

    def freeze(self) -> None:
        """Nothing is written until it thaws; what was being written is lost, as one file has one process."""
        self._waiting.clear()
        self._frozen = True

    def thaw(self) -> None:
        """What waited is written now."""
        self._frozen = False
        self._go_on()

    def _go_on(self) -> None:
        if self._waiting and not self._busy and not self._frozen:
            self._busy = True
            self._loop.call_later(self._delay_s(), self._commit)

    def crash(self, *, after_commit: bool) -> None:
        """The process is gone: what waits is lost, or stored without an answer."""
        if after_commit:
            self._run()
        self._waiting.clear()
        self.dead = True

    def _delay_s(self) -> float:
        rng = self._disk.rng
        stalls = not self._disk.healed and rng.random() < self._disk.faults.stall
        return rng.uniform(0.5, 12) if stalls else rng.uniform(0.0002, 0.01)

    def _commit(self) -> None:
        self._busy = False
        if self.dead or self._frozen:
            return
        answers = self._run()
        for future, result, failure in answers:
            if future.done():
                continue
            if failure is None:
                future.set_result(result)
            else:
                future.set_exception(failure)
        self._go_on()

    def _run(self) -> list[tuple[asyncio.Future[Any], Any, Exception | None]]:
        group, self._waiting = self._waiting, []
        disk = self._disk
        if not disk.healed and disk.rng.random() < disk.faults.full:
            return [(future, None, errors.StorageFull()) for _, future in group]
        answers: list[tuple[asyncio.Future[Any], Any, Exception | None]] = []
        connection = disk.connection
        connection.execute("BEGIN IMMEDIATE")
        for job, future in group:
            connection.execute("SAVEPOINT request")
            try:
                answers.append((future, job(connection), None))
            except Exception as failure:
                connection.execute("ROLLBACK TO request")
                answers.append((future, None, failures.translate(failure)))
            connection.execute("RELEASE request")
        connection.execute("COMMIT")
        disk.check()
        return answers


class SimReaders:
    """Reads on virtual time. `queue.sqlite.database.Reads`."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    async def run(self, job: Callable[[apsw.Connection], T]) -> T:
        """What `job` answers, a little later."""
        await asyncio.sleep(self._disk.rng.uniform(0, 0.003))
        return job(self._disk.connection)


class GhostQueue(SqliteQueue):
    """The queue of a node that may become a ghost: then it can settle and keep leases, but begins nothing new.

    That is the harm a process can do that was frozen while another one took over: it writes what it had in its hands.
    """

    ghost = False

    def lease(self, wants: Any, *, owner: str, lease_ms: int) -> asyncio.Future[Grant]:
        """Nothing, for a ghost."""
        return super().lease([] if self.ghost else wants, owner=owner, lease_ms=lease_ms)

    def sweep(self, lane: int, *, limit: int = 500, after: tuple[int, int] = (0, 0)) -> Any:
        """Refused, for a ghost."""
        if self.ghost:
            raise errors.Unavailable("a ghost")
        return super().sweep(lane, limit=limit, after=after)

    def settle(self, moves: Sequence[Move]) -> asyncio.Future[Sequence[Moved]]:
        """Law 6: what a ghost settles is fenced, all of it."""
        settled = super().settle(moves)
        if self.ghost:
            settled.add_done_callback(_all_fenced)
        return settled

    async def get(self, group: Group, key: str) -> Row | None:
        """Refused, for a ghost: who reads a row anew may change it, and is none."""
        if self.ghost:
            raise errors.Unavailable("a ghost")
        return await super().get(group, key)

    async def lines(self, lane: int) -> Collection[Group]:
        """None, for a ghost."""
        return [] if self.ghost else await super().lines(lane)

    def put(self, items: Any) -> Any:
        """Refused, for a ghost."""
        if self.ghost:
            raise errors.Unavailable("a ghost")
        return super().put(items)


def _all_fenced(settled: asyncio.Future[Sequence[Moved]]) -> None:
    if settled.exception() is None and Moved.DONE in settled.result():
        raise Broken("a ghost changed a row that another node had taken over")


# --- the world --------------------------------------------------------------------------------------------------------


class Generation:
    """One life of the node."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.tasks: dict[asyncio.Task[Any], None] = {}  # in order, as a seed has to decide everything
        self.clock = VirtualClock(world.loop)
        self.clock.step_wall(world.wall_step_s)
        self.writer = SimWriter(world.disk, world.loop)
        self.queue = GhostQueue(self.writer, SimReaders(world.disk), clock=self.clock)
        self.service = TaskService(
            self.queue,
            world.blob,
            invoke=world.invoke,
            sinks={Kind.HTTP: world},
            stored_configs=world.configs,
            check_function=lambda *_: None,
            new_request_id=ids.request_id_maker(number, self.clock.now_s),
            chance=world.rng.random,
            clock=self.clock,
            node="n1",
            incarnation=str(number),
            limits_of=lambda _a, _f: Limits(concurrency=LIMIT, account_concurrency=2 * LIMIT),
            cancel=world.cancel,
            config=TaskConfig(
                pump=PumpConfig(capacity=6, lease_ms=LEASE_MS, grace_s=3),
                deliveries=PumpConfig(capacity=4, lease_ms=LEASE_MS, grace_s=3),
                dispatch=DispatchConfig(stop_grace_s=2),
            ),
        )

    async def start(self) -> None:
        """Up."""
        await self.queue.start()
        await self.service.start()

    def crash(self) -> None:
        """Gone at once; or frozen, to come back as a ghost."""
        rng = self.world.rng
        if rng.random() < self.world.faults.ghost:
            self.queue.ghost = True
            self.writer.freeze()
            self.world.ghosts.append(self)
            return
        self.writer.crash(after_commit=rng.random() < 0.5)
        self._end()

    def haunt(self) -> None:
        """A ghost's end: another node has taken over, and now it writes what it had in its hands."""
        delay_s = self.world.rng.uniform(0, 20)
        self.world.loop.call_later(delay_s, self.writer.thaw)
        self.world.loop.call_later(delay_s + 5, self._end)

    def _end(self) -> None:
        self.writer.crash(after_commit=False)
        self.clock.kill()
        for task in list(self.tasks):
            task.cancel()


class World:
    """Clients, instances, destinations, and the node in its lives."""

    def __init__(self, loop: VirtualLoop, seed: int, faults: Faults) -> None:
        self.loop = loop
        self.rng = random.Random(seed)
        self.faults = faults
        self.disk = Disk(self.rng, faults)
        self.blob = MemoryBlob()
        self.configs = MemoryConfigs()
        self.wall_step_s = 0.0
        self.acknowledged: dict[tuple[str, str], int] = {}
        """Function and task id of what was acknowledged, and its row."""
        self.answered: set[tuple[str, str]] = set()
        """Tasks that some run of theirs answered well."""
        self.delivered: dict[str, int] = {}
        self.ghosts: list[Generation] = []
        self._births = 0
        self._running: dict[str, Pending] = {}
        self.generation: Generation
        loop.set_task_factory(self._make_task)
        loop.set_exception_handler(self._unhandled)
        self.unhandled: list[str] = []
        self.main: asyncio.Task[None] | None = None

    # --- what the node sees -------------------------------------------------------------------------------------------

    def invoke(self, invocation: Invocation) -> Pending:
        """An instance of this world."""
        rng, pending = self.rng, Pending()
        fate = rng.random() if not self.disk.healed else 0.0
        if fate > 0.99:
            raise errors.FunctionNotFound(invocation.function_name)
        if fate > 0.97:
            raise errors.Unavailable("no instance can be made")
        name = (invocation.function_name, invocation.task_id)
        self._running[invocation.request_id] = pending

        def answer() -> None:
            outcome = _outcome(fate, rng)
            if outcome.status is Status.OK:
                self.answered.add(name)
            pending.resolve(outcome)

        lasts_s = rng.choice((0.001, 0.01, 0.3, 3.0, 11.0)) * rng.uniform(0.5, 1.5)
        self.loop.call_later(0 if fate > 0.9 else lasts_s, answer)
        return pending

    def cancel(self, request_id: str, grace_s: float) -> None:
        """Ends a run after a while, if anybody hears."""
        pending = self._running.get(request_id)
        if pending is not None and self.rng.random() < 0.7:
            outcome = Outcome(status=Status.CANCELLED)
            self.loop.call_later(self.rng.uniform(0, max(grace_s, 0.001)), pending.resolve, outcome)

    async def start(self) -> None:
        """As a sink: nothing to start."""

    async def stop(self) -> None:
        """As a sink: nothing to stop."""

    async def deliver(self, delivery: Delivery) -> None:
        """A destination of this world."""
        await asyncio.sleep(self.rng.uniform(0, 2))
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
            await self.configs.put(config)
        await self._be_born()
        clients = [asyncio.ensure_future(self._client(number)) for number in range(self.faults.tasks)]
        for _ in range(1, self.faults.lives):
            await asyncio.sleep(self.rng.uniform(0.5, 16))
            await self._die()
            await asyncio.sleep(self.rng.choice((0, 0.01, 3)))
            await self._be_born()
        await asyncio.gather(*clients)
        self.disk.healed = True
        await self._settle_down()
        await self.generation.service.stop()
        self.judge()

    async def _be_born(self) -> None:
        if self.rng.random() < self.faults.clock:
            self.wall_step_s += self.rng.choice((-3600, -5, 5, 300))
        while True:
            self._births += 1
            generation = Generation(self, self._births)
            token = _generation.set(generation)
            try:
                await asyncio.create_task(generation.start())
            except errors.FunctoryError:
                generation.crash()  # as a supervisor would: again
                await asyncio.sleep(1)
            else:
                self.generation = generation
                ghosts, self.ghosts = self.ghosts, []
                for ghost in ghosts:
                    ghost.haunt()
                return
            finally:
                _generation.reset(token)

    async def _die(self) -> None:
        if self.rng.random() < self.faults.crash:
            self.generation.crash()
            return
        token = _generation.set(self.generation)
        try:
            await asyncio.wait_for(asyncio.create_task(self.generation.service.stop()), 300)
        except (errors.FunctoryError, ExceptionGroup):
            pass  # the disk was full just then: the next life takes back what this one held
        finally:
            _generation.reset(token)
        self.generation.crash()

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
            return await call(generation.service)

        token = _generation.set(generation)
        try:
            task = asyncio.create_task(inside())
        finally:
            _generation.reset(token)
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

    # --- laws ---------------------------------------------------------------------------------------------------------

    def judge(self) -> None:
        """Laws 1, 3 and 5, and that nothing failed unseen."""
        if self.unhandled:
            raise Broken("".join(self.unhandled))
        told: dict[str, int] = {}
        for key, _ in self.disk.connection.execute("SELECT key, id FROM queue WHERE lane = ?", (int(Lane.DELIVERY),)):
            told[key] = told.get(key, 0) + 1
        rows = {}
        query = "SELECT id, key, state, attempts, head FROM queue WHERE lane = ?"
        for id_, key, state, attempts, head_ in self.disk.connection.execute(query, (int(Lane.TASK),)):
            rows[id_] = (key, TaskState(state))
            rules = head.decode(head_)
            destination = rules.on_success if state == TaskState.SUCCEEDED else rules.on_failure
            if told.pop(str(id_), 0) != bool(destination):
                raise Broken(
                    f"{key} ended {TaskState(state).name}, and its destination {destination!r} was told otherwise"
                )
            if attempts > rules.max_retries + 1:
                raise Broken(f"{key} had {attempts} attempts; {rules.max_retries + 1} are allowed")
            if state == TaskState.SUCCEEDED and not any(name[1] == key for name in self.answered):
                raise Broken(f"{key} succeeded, and no run of it answered")
        if told:
            raise Broken(f"destinations were told of what never ended: {told}")
        for (name, task_id), id_ in self.acknowledged.items():
            if id_ not in rows:
                raise Broken(f"{name} {task_id} was acknowledged and is lost")
        if len(self.acknowledged) != self.faults.tasks:
            raise Broken(f"{self.faults.tasks} tasks were submitted, {len(self.acknowledged)} acknowledged")

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Whatever nobody catches is a mistake of ours, but what the dead leave unread."""
        failure = context.get("exception")
        if failure is None and "destroyed" in context["message"]:
            return  # of a dead node, waiting for a commit that never came
        if not isinstance(failure, errors.FunctoryError | Undeliverable | NotNow):
            self.unhandled.append(f"{context['message']}: {failure!r}")
            if failure is not None:
                self.unhandled += traceback.format_exception(failure)
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
        owner = _generation.get()
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


def run(seed: int, faults: Faults | None = None) -> str:
    """Lives through the world of a seed; answers its fingerprint, raises `Broken`."""
    with VirtualLoop() as loop:
        world = World(loop, seed, faults or Faults())
        world.main = loop.create_task(world.live())
        try:
            loop.run_until_complete(world.main)
        except (Exception, asyncio.CancelledError) as broken:
            raise Broken(f"seed {seed}: {broken} {''.join(world.unhandled)}") from broken
        return world.fingerprint()
