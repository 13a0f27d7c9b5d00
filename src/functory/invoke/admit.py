"""Step 2: may it run now? Yes, wait, or 429.

Limits on what runs at once, per account and per function. Who finds no place waits in the function's line, at most so
many and so long; beyond that the answer is `throttled` with a time after which to try again.

A function with reserved concurrency has that many places of its own: it may not take more, it is not counted among its
account's shared places, and nobody else may take them, used or not.

POLICY: the account's limit is looked at first, so that a function with a long line cannot hold places of an account
that is full. Lines are served in order; between functions, whoever's place becomes free goes first.
"""

from __future__ import annotations

import sys
from collections import deque

import msgspec

from functory.clock import Clock, Timer
from functory.instances import failures
from functory.model.invocation import Invocation, Invoke, Outcome, Pending, resolved


class AdmitConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The limits."""

    account_concurrency: int = 300
    """Invocations of one account at once."""
    function_concurrency: int = 100
    """Invocations of one function at once."""
    queue_max: int = 1000
    """How many may wait for one function."""
    queue_wait_s: float = 10.0
    """How long one may wait."""


class _Share:
    """Places that several functions share: those of an account which no function has reserved."""

    __slots__ = ("limit", "running")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.running = 0


class _Line:
    """One function's count and waiting line."""

    __slots__ = ("limit", "running", "share", "waiting")

    def __init__(self, limit: int, share: _Share) -> None:
        self.limit = limit
        self.share = share
        self.running = 0
        self.waiting: deque[tuple[Invocation, Pending]] = deque()


class Admit:
    """Counts what runs; an `Invoke` that wraps the next step."""

    def __init__(self, then: Invoke, *, clock: Clock, config: AdmitConfig) -> None:
        self._then = then
        self._clock = clock
        self._config = config
        self._shares: dict[str, _Share] = {}
        self._reserved: dict[str, dict[str, int]] = {}
        self._own = _Share(sys.maxsize)
        """What functions with reserved places share: nothing that could run out."""
        self._lines: dict[str, _Line] = {}
        self._timer: Timer | None = None
        self.refused = 0
        """How many were answered `throttled`."""

    def __call__(self, invocation: Invocation) -> Pending:
        function = invocation.function
        assert function is not None, "route binds the function first"
        line = self._lines.get(function.function_id)
        if line is None:
            line = self._open(invocation.account_id, function.function_id)
        share = line.share
        if share.running >= share.limit:
            return self._refuse(f"account concurrency limit {share.limit} is reached", invocation)
        if line.running < line.limit and not line.waiting:
            return self._run(line, invocation)
        if not line.limit:
            return self._refuse("the function's reserved concurrency is 0: nothing may run", invocation)
        if len(line.waiting) >= self._config.queue_max:
            return self._refuse(
                f"function concurrency limit {line.limit} is reached and {len(line.waiting)} requests wait already",
                invocation,
            )
        pending = Pending()
        line.waiting.append((invocation, pending))
        self._watch()
        return pending

    def _run(self, line: _Line, invocation: Invocation) -> Pending:
        share = line.share  # bound here: a call leaves the share that it entered, whatever is reserved meanwhile
        line.running += 1
        share.running += 1

        def leave(outcome: Outcome) -> None:
            if outcome.stream is not None:
                outcome.stream.finished(lambda: self._left(line, share))
            else:
                self._left(line, share)

        pending = self._then(invocation)
        pending.then(leave)
        return pending

    def _left(self, line: _Line, share: _Share) -> None:
        line.running -= 1
        share.running -= 1
        if line.waiting:
            self._next(line)

    def _next(self, line: _Line) -> None:
        while line.waiting and line.running < line.limit:
            invocation, pending = line.waiting.popleft()
            self._run(line, invocation).then(pending.resolve)

    def _refuse(self, why: str, invocation: Invocation) -> Pending:
        self.refused += 1
        if invocation.body is not None:
            invocation.body.close()
        return resolved(failures.throttled(why))

    # --- waits that are too long --------------------------------------------------------------------------------------

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = self._clock.call_later(min(0.1, self._config.queue_wait_s), self._expire)

    def _expire(self) -> None:
        self._timer = None
        oldest = self._clock.monotonic_ns() - int(self._config.queue_wait_s * 1e9)
        left = False
        for line in self._lines.values():
            while line.waiting and line.waiting[0][0].accepted_ns <= oldest:
                invocation, pending = line.waiting.popleft()
                self._refuse(
                    f"waited {self._config.queue_wait_s:g} s for a free place "
                    f"(function concurrency limit {line.limit})",
                    invocation,
                ).then(pending.resolve)
            left = left or bool(line.waiting)
        if left:
            self._watch()

    @property
    def waiting(self) -> int:
        """How many invocations wait for a place."""
        return sum(len(line.waiting) for line in self._lines.values())

    def forget(self, function_id: str) -> None:
        """The function is deleted."""
        for account_id, reserved in list(self._reserved.items()):
            if function_id in reserved:
                self.reserve(account_id, function_id, None)
        line = self._lines.get(function_id)
        if line is not None and not line.running and not line.waiting:
            del self._lines[function_id]

    # --- reserved places ----------------------------------------------------------------------------------------------

    def reserve(self, account_id: str, function_id: str, places: int | None) -> None:
        """The function has `places` of its own from now on; None = it uses those of its account, as others do."""
        reserved = self._reserved.setdefault(account_id, {})
        if reserved.get(function_id) == places:
            return
        if places is None:
            del reserved[function_id]
        else:
            reserved[function_id] = places
        self._share(account_id).limit = max(0, self._config.account_concurrency - sum(reserved.values()))
        line = self._lines.get(function_id)
        if line is not None:
            line.limit, line.share = self._places(account_id, function_id)
            self._next(line)

    def reserved(self, account_id: str, function_id: str) -> int | None:
        """The function's own places; None if it has none."""
        return self._reserved.get(account_id, {}).get(function_id)

    def _open(self, account_id: str, function_id: str) -> _Line:
        line = self._lines[function_id] = _Line(*self._places(account_id, function_id))
        return line

    def _places(self, account_id: str, function_id: str) -> tuple[int, _Share]:
        places = self._reserved.get(account_id, {}).get(function_id)
        if places is None:
            return self._config.function_concurrency, self._share(account_id)
        return places, self._own

    def _share(self, account_id: str) -> _Share:
        share = self._shares.get(account_id)
        if share is None:
            share = self._shares[account_id] = _Share(self._config.account_concurrency)
        return share
