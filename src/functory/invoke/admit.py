"""Step 2: may it run now? Yes, wait, or 429.

Limits on what runs at once, per account and per function. Who finds no place waits in the function's line, at most so
many and so long; beyond that the answer is `throttled` with a time after which to try again.

POLICY: the account's limit is looked at first, so that a function with a long line cannot hold places of an account
that is full. Lines are served in order; between functions, whoever's place becomes free goes first.
"""

from __future__ import annotations

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


class _Line:
    """One function's count and waiting line."""

    __slots__ = ("running", "waiting")

    def __init__(self) -> None:
        self.running = 0
        self.waiting: deque[tuple[Invocation, Pending]] = deque()


class Admit:
    """Counts what runs; an `Invoke` that wraps the next step."""

    def __init__(self, then: Invoke, *, clock: Clock, config: AdmitConfig) -> None:
        self._then = then
        self._clock = clock
        self._config = config
        self._accounts: dict[str, int] = {}
        self._lines: dict[str, _Line] = {}
        self._timer: Timer | None = None
        self.refused = 0
        """How many were answered `throttled`."""

    def __call__(self, invocation: Invocation) -> Pending:
        function = invocation.function
        assert function is not None, "route binds the function first"
        line = self._lines.get(function.function_id)
        if line is None:
            line = self._lines[function.function_id] = _Line()
        if self._accounts.get(invocation.account_id, 0) >= self._config.account_concurrency:
            return self._refuse(f"account concurrency limit {self._config.account_concurrency} is reached", invocation)
        if line.running < self._config.function_concurrency and not line.waiting:
            return self._run(line, invocation)
        if len(line.waiting) >= self._config.queue_max:
            return self._refuse(
                f"function concurrency limit {self._config.function_concurrency} is reached and "
                f"{len(line.waiting)} requests wait already",
                invocation,
            )
        pending = Pending()
        line.waiting.append((invocation, pending))
        self._watch()
        return pending

    def _run(self, line: _Line, invocation: Invocation) -> Pending:
        account = invocation.account_id
        line.running += 1
        self._accounts[account] = self._accounts.get(account, 0) + 1

        def leave(outcome: Outcome) -> None:
            if outcome.stream is not None:
                outcome.stream.finished(lambda: self._left(line, account))
            else:
                self._left(line, account)

        pending = self._then(invocation)
        pending.then(leave)
        return pending

    def _left(self, line: _Line, account: str) -> None:
        line.running -= 1
        self._accounts[account] -= 1
        if line.waiting:
            self._next(line)

    def _next(self, line: _Line) -> None:
        while line.waiting and line.running < self._config.function_concurrency:
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
                    f"(function concurrency limit {self._config.function_concurrency})",
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
        line = self._lines.get(function_id)
        if line is not None and not line.running and not line.waiting:
            del self._lines[function_id]
