"""One instance as the node sees it: the life of a process tree that runs invocations of one function revision.

    start ──spawn──→ process runs ──HELLO──→ idle ⇄ busy ──→ stopping ──→ dead
                                              │ freeze ↑ run: thawed first
                                              └→ standby ──page_out──→ paged out

The owner (`pool.Pool`) is told `freed` when it may take more, and `died` once. What runs on it is `work.Work`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import Protocol

import msgspec

from functory.clock import Clock, Timer
from functory.instances import failures
from functory.instances import hello as hellos
from functory.instances.channel import Channel
from functory.instances.gauges import GroupMeter
from functory.instances.memory import Meter, ProcessMeter
from functory.instances.work import InstanceLimits, Work
from functory.model import errors
from functory.model.function import Function
from functory.model.instance import (
    FROZEN,
    MOVES,
    Exit,
    GroupFiles,
    InstanceSpec,
    InstanceState,
    InstanceView,
    NetworkMode,
)
from functory.model.invocation import Invocation, Outcome, Pending
from functory.model.usage import ColdStart, Mode
from functory.runtimes import wire
from functory.sandbox import freezer, tree
from functory.spawner.base import Spawned, Spawner

__all__ = ["Instance", "InstanceLimits"]

LAST_WORDS_S = 2.0
"""Once one of them is known, how long to wait for the other: the end of its pipe, and how its process ended."""
CANCEL_GRACE_NS = 5_000_000_000
"""How long the others on a shared instance may go on after one of them ran into its deadline."""
DRAIN_EXTRA_S = 0.5
HEAP_FULL = b"JavaScript heap out of memory"
"""What V8 prints before it aborts for want of memory."""


class Owner(Protocol):
    """Who hears of an instance."""

    def freed(self, instance: Instance) -> None:
        """One invocation less runs on it."""

    def died(self, instance: Instance) -> None:
        """It is gone; told once."""


class Instance:
    """Runs up to `concurrency` invocations of `function`. Implements `work.Host`."""

    def __init__(
        self,
        spec: InstanceSpec,
        function: Function,
        *,
        clock: Clock,
        limits: InstanceLimits,
        spawner: Spawner,
        owner: Owner,
    ) -> None:
        self.id = spec.instance_id
        self.function = function
        self.state = InstanceState.STARTING
        self.concurrency = spec.concurrency
        self.busy = 0
        self.served = 0
        self.mode = Mode.ON_DEMAND
        """Whether it is kept ready by its owner's wish; `standing.mark` says so."""
        self.parent_asked = ""
        """The template that it should be forked from."""
        self.parent = ""
        """The template that it was forked from."""
        self.loaded_us = (0, 0)
        """Loading and initialising, as it says itself."""
        self.load_us = -1
        """What it took to load and initialise; negative while that is not known."""
        self.ahead = False
        """It is being made for nobody in particular."""
        self.created_ms = clock.now_ms()
        self.idle_since_ns = clock.monotonic_ns()
        self.start_deadline_ns = 0
        self.credentials_until_ms = spec.credentials_until_ms
        """When the temporary credentials that it holds end; 0 = it holds none."""
        self._spec = spec
        self._limits = limits
        self._clock = clock
        self._now = clock.monotonic_ns
        self._spawner = spawner
        self._owner = owner
        self._channel = Channel(self._ended)
        self._work = Work(spec, function.timeout_s, clock=clock, limits=limits, host=self, channel=self._channel)
        self._channel.listen(self._work.frame, self._work.batch)
        self._start_work = self._work.run
        self._pid = 0
        self._freezer: freezer.Freezer | None = None
        self.files = GroupFiles()
        self.held_bytes = 0
        self.looked_at = -1
        """What its tree holds, and how many calls it had served when that was looked at."""
        self._hello: asyncio.Future[hellos.Hello] | None = None
        self._exit: Exit | None = None
        self._death_timer: Timer | None = None
        self._silent = False
        self._killed = False

    # --- start ----------------------------------------------------------------------------------------------

    async def start(self, parent: str = "") -> None:
        """Returns when the instance may take invocations; raises `StartFailed` with the outcome otherwise.

        `parent`: the template to fork it from.
        """
        self.parent_asked = parent
        begin = self._now()
        limit_s = self._spec.start_timeout_s or self._limits.start_timeout_s
        limit_s += self._spec.initializer_timeout_s if self._spec.initializer else 0
        self.start_deadline_ns = begin + int(limit_s * 1e9)
        try:
            spawned = await self._spawner.spawn(self._spec, self._exited, parent)
        except errors.FunctoryError as failure:
            self._die()
            raise failures.StartFailed(failures.system(f"no instance could be started: {failure}")) from failure
        forked = self._now()
        self._pid, self.files = spawned.pid, spawned.files
        self._work.meter = self._meter(spawned)
        self._hello = asyncio.get_running_loop().create_future()
        self._work.output.open(spawned.log_fd)
        self._work.use_network(spawned.network)
        await self._channel.open(spawned.request_fd, spawned.reply_fd)
        hello = await self._hello
        inner = self._spec.program is not None or self._spec.template
        program = tree.child_known_as(spawned.pid, hello.pid) if inner else 0
        if program:
            # The program's usage is the function's; its supervisor's is ours. Anything but a child of it is no answer.
            self._work.meter.close()
            self._work.meter = self._meter(spawned, program)
        copied = hello.restore_us >= 0
        self.parent, self.load_us = (parent, 0) if copied else ("", hello.import_us + hello.init_us)
        self._work.cold = ColdStart(
            fork_us=(forked - begin) // 1000,
            import_us=hello.import_us,
            init_us=hello.init_us,
            template_us=max(0, hello.restore_us),
        )
        self.loaded_us = (hello.import_us, hello.init_us)
        self._work.meter.cpu_delta_ns(0)
        self._freezer = freezer.of(spawned.pid, spawned.files)

    @staticmethod
    def _meter(spawned: Spawned, program: int = 0) -> Meter:
        """`program`: the process that the instance supervises."""
        if spawned.gauges is not None:
            with contextlib.suppress(OSError):
                return GroupMeter(spawned.gauges, supervisor=spawned.pid if program else 0)
        return ProcessMeter(program or spawned.pid)

    def stand_ready(self, *, parked: bool) -> None:
        """Started. `parked`: ahead of need, so no caller has waited for it."""
        self.ahead = parked
        if parked:
            self._work.cold = None
        self._move(InstanceState.PARKED if parked else InstanceState.IDLE)

    @property
    def pid(self) -> int:
        """Its main process; 0 before there is one."""
        return self._pid

    def open_ns(self, now_ns: int) -> int:
        """How long what runs on it has run, added up."""
        return sum(now_ns - call.started_ns for call in self._work.calls.values())

    def cpu_ns(self) -> int:
        """Processor time it has used since it was made."""
        return self._work.meter.read_cpu_ns() if self._work.meter is not None else 0

    def memory_bytes(self) -> int:
        """What it holds now."""
        return self._work.meter.read_memory_bytes() if self._work.meter is not None else 0

    @property
    def copies(self) -> bool:
        """Whether copies of such a process can be made."""
        return not self._spec.argv and self._spec.program is None

    @property
    def network(self) -> NetworkMode:
        """What it can reach."""
        return self._spec.network

    @property
    def being_killed(self) -> bool:
        """It was killed, and its end is not known yet."""
        return self._killed and self.state is not InstanceState.DEAD

    @property
    def how_it_ended(self) -> str:
        """`exit code 3`, or `signal 11`."""
        return self._exit.describe() if self._exit is not None else "it is not known how"

    def take_log(self) -> bytes:
        """What it printed before its first request; the request does not get it then."""
        self._work.output.drain()
        return self._work.output.take(None)

    @property
    def ahead_of_need(self) -> bool:
        """It is parked, or will be."""
        return self.ahead and self.state in (InstanceState.STARTING, InstanceState.PARKED)

    def run(self, invocation: Invocation, pending: Pending) -> None:
        """Starts one invocation. The owner has counted it in `busy` already."""
        self.state = InstanceState.BUSY
        self._start_work(invocation, pending)

    # --- standby ------------------------------------------------------------------------------------------------------

    def freeze(self) -> None:
        """Holds the tree still until the next call, or its end. Only one that is idle; one that cannot be runs on."""
        if self._freezer is not None and self._freezer.freeze():
            self._move(InstanceState.STANDBY)
            self._start_work = self._thaw_and_run

    def paged_out(self) -> None:
        """Its memory has gone to swap; if it has been called meanwhile, it comes back by itself."""
        if self.state is InstanceState.STANDBY:
            self._move(InstanceState.PAGED_OUT)

    def thaw(self) -> None:
        """Lets the tree go on."""
        if self.state in FROZEN:
            self._thaw()
            self._move(InstanceState.IDLE)

    def _thaw_and_run(self, invocation: Invocation, pending: Pending) -> None:
        # A warm instance pays nothing for all this: `run` calls this instead of the work itself.
        self._thaw()
        self._start_work(invocation, pending)

    def _thaw(self) -> None:
        self._start_work = self._work.run
        if self._freezer is not None:
            self._freezer.thaw()

    # --- stop ---------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Lets what runs end, then runs the pre-stop hook and ends the process."""
        if self.state in (InstanceState.STOPPING, InstanceState.DEAD):
            return
        self.thaw()  # its pre-stop hook has to run
        self._move(InstanceState.STOPPING)
        if not self._work.calls:
            self._drain()

    def kill(self) -> None:
        """Ends the whole tree now; what runs on it fails once it is gone."""
        if self.state is InstanceState.DEAD:
            return
        self._killed = True
        self._move(InstanceState.STOPPING)
        self._spawner.kill(self.id)

    def cancel(self, request_id: str, deadline_ns: int) -> bool:
        """Tells the process that the invocation is not wanted, and shortens its deadline; False if it is not here."""
        for stream, call in self._work.calls.items():
            if call.invocation.request_id == request_id:
                call.deadline_ns = min(call.deadline_ns, deadline_ns)
                self._channel.send(wire.frame(stream, wire.Type.CANCEL, 0, 0, b"", b""))
                return True
        return False

    def give_credentials(self, told: bytes, until_ms: int) -> None:
        """Hands over other temporary credentials: what starts after this sees them."""
        self.credentials_until_ms = until_ms
        self._channel.send(wire.frame(0, wire.Type.CREDENTIALS, 0, 0, b"", told))

    def expire(self, now_ns: int) -> None:
        """Ends what is over its deadline. Called every few milliseconds while anything runs or starts."""
        if self.state is InstanceState.STARTING and self._hello is not None and now_ns >= self.start_deadline_ns:
            limit_s = round((self.start_deadline_ns - self.idle_since_ns) / 1e9)
            self.start_failed(failures.start_timed_out(limit_s))
            return
        for stream in [one for one, call in self._work.calls.items() if now_ns >= call.deadline_ns]:
            self._time_out(stream, now_ns)

    def view(self) -> InstanceView:
        """How lists show it."""
        return InstanceView(
            instance_id=self.id,
            function=self.function,
            state=self.state,
            busy=len(self._work.calls),
            created_at_ms=self.created_ms,
            served=self.served,
            pid=self._pid,
        )

    def _drain(self) -> None:
        timeout_s = self._spec.pre_stop_timeout_s if self._spec.pre_stop else 1
        self._channel.send(wire.frame(0, wire.Type.DRAIN, 0, timeout_s * 1000, b"", b""))
        # The hook has its time; after that the tree is ended whatever it does.
        self._clock.call_later(timeout_s + DRAIN_EXTRA_S, self.kill)

    def _time_out(self, stream: int, now_ns: int) -> None:
        calls = self._work.calls
        call = calls[stream]
        outcome = failures.timed_out((call.deadline_ns - call.started_ns) // 1_000_000)
        self._work.output.drain()
        self._move(InstanceState.STOPPING)
        if len(calls) == 1:
            self.kill()
        else:
            # Nothing inside can be killed alone: take no more, and give the others until their ends or a grace time.
            self._channel.send(wire.frame(stream, wire.Type.CANCEL, 0, 0, b"", b""))
            self._work.late.add(stream)
            for other in calls.values():
                other.deadline_ns = min(other.deadline_ns, now_ns + CANCEL_GRACE_NS)
        self._work.fail(stream, outcome)

    # --- what the work tells (work.Host) ------------------------------------------------------------------------------

    def released(self) -> None:
        self.served += 1
        self.busy -= 1
        if self.state is InstanceState.BUSY:
            if not self.busy:
                self.state = InstanceState.IDLE
            self._owner.freed(self)
        elif not self._work.calls and not self._killed and not self._silent and self._exit is None:
            self._drain()

    def greeted(self, meta: bytes) -> bool:
        if self._hello is None or self._hello.done():
            return False
        hello = hellos.read(meta)
        if hello is None:
            return False
        self._hello.set_result(hello)
        return True

    def start_failed(self, outcome: Outcome) -> bool:
        if self._hello is None or self._hello.done():
            return False
        outcome.log = self._work.output.take(None)
        self._hello.set_exception(failures.StartFailed(outcome))
        self.kill()
        return True

    def broken(self, what: str) -> None:
        outcome = failures.broke_protocol(what)
        if not self.start_failed(outcome):
            self.kill()
            self._work.fail_all(outcome)

    def exhausted(self) -> None:
        # What else the process could not allocate is unknown: it is not used again. The answers in hand go out first.
        asyncio.get_running_loop().call_soon(self.kill)

    # --- the end ------------------------------------------------------------------------------------------------------

    def _ended(self, reason: str) -> None:
        """The reply pipe is closed, or what came through it cannot be read."""
        if reason:
            self.broken(reason)
        self._silent = True
        if self._exit is not None:
            self._die()
        else:
            self._spawner.kill(self.id)
            self._die_later()

    def _exited(self, exit_: Exit) -> None:
        """The spawner says how the main process ended. What it still sent is read first."""
        self._exit = exit_
        if self._silent:
            self._die()
        else:  # also if `start` has not even heard that it was made: it reads on, up to the end of the pipe
            self._die_later()

    def _die_later(self) -> None:
        if self._death_timer is None and self.state is not InstanceState.DEAD:
            self._death_timer = self._clock.call_later(LAST_WORDS_S, self._die)

    def _die(self) -> None:
        if self.state is InstanceState.DEAD:
            return
        if self._death_timer is not None:
            self._death_timer.cancel()
        self._killed = True
        self._move(InstanceState.STOPPING)
        self._work.output.drain()
        self._fail_what_is_open()
        self._move(InstanceState.DEAD)
        self._channel.close()
        self._work.output.close()
        if self._work.meter is not None:
            self._work.meter.close()
        if self._freezer is not None:
            self._freezer.close()
        self._owner.died(self)

    def _fail_what_is_open(self) -> None:
        calls = self._work.calls.values()
        if self._exit is not None and self._exit.signal == signal.SIGABRT and self._work.has_printed(HEAP_FULL):
            self._exit = msgspec.structs.replace(self._exit, out_of_memory=True)
        elif self._exit is not None and 0 < self._exit.oom_kills <= self._work.kills_seen:
            # What the kernel killed was told with earlier calls, which lived on: this end has another reason.
            self._exit = msgspec.structs.replace(self._exit, out_of_memory=False)
        since = min((call.started_ns for call in calls), default=self.idle_since_ns)
        outcome = failures.exited(
            self._exit,
            lasted_ns=self._now() - since,
            peak_bytes=self._work.peak_bytes,
            memory_mb=self.function.memory_mb,
        )
        if self._exit is not None:
            outcome.oom_kills = max(0, self._exit.oom_kills - self._work.kills_seen)
        if not self.start_failed(outcome):
            self._work.fail_all(outcome)

    def _move(self, state: InstanceState) -> None:
        if state is not self.state:
            assert state in MOVES[self.state], f"an instance cannot go from {self.state} to {state}"
            self.state = state
