"""Step 1: which function revision a name means now.

The table is held in memory and swapped by the control plane after its commit, so a call never waits for the store.
LATEST is one dict lookup. A function whose invocation is disabled is not in that table, so nobody pays for the switch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from functory.model import errors, ids, version
from functory.model.function import Function, ImageState
from functory.model.invocation import Invocation, Invoke, Pending


class Canary(NamedTuple):
    """An alias of two versions."""

    main: Function
    extra: Function
    weight: float
    """The share of calls that `extra` takes, 0 to 1."""

    def choose(self, at: float) -> Function:
        """The version of the call that falls at `at` between 0 and 1."""
        return self.extra if at < self.weight else self.main


Target = Function | Canary
"""What a qualifier other than LATEST means."""


class Routes:
    """The functions that can be called, by account and name."""

    def __init__(self, chance: Callable[[], float] = lambda: 1.0) -> None:
        """`chance`: a number from 0 (included) to 1 (excluded), drawn for each call of an alias of two versions."""
        self._chance = chance
        self._functions: dict[tuple[str, str], Function] = {}
        self._disabled: dict[tuple[str, str], Function] = {}
        self._qualified: dict[tuple[str, str], Mapping[str, Target]] = {}
        self.generation = 0
        """Counts changes; a cached answer of `find` is valid as long as this stands still, but for a Canary's."""

    def put(self, function: Function) -> Function | None:
        """This revision is called from now on, unless a newer one is known. Answers the one it replaces."""
        key = (function.account_id, function.name)
        old = self.latest(*key)
        function = function.runs or function
        if old is not None and old.function_id == function.function_id and old.epoch >= function.epoch:
            return None
        if old is not None and old.function_id != function.function_id:
            self._qualified.pop(key, None)
        if function.restriction is None and function.runs is function:
            self._disabled.pop(key, None)
            self._functions[key] = function
        else:
            self._functions.pop(key, None)
            self._disabled[key] = function
        self.generation += 1
        return old

    def bind(self, function: Function, targets: Mapping[str, Target]) -> None:
        """All qualifiers of the function but LATEST; harmless if another function has taken the name."""
        current = self.latest(function.account_id, function.name)
        if current is None or current.function_id != function.function_id:
            return
        self._qualified[function.account_id, function.name] = targets
        self.generation += 1

    def drop(self, function: Function) -> None:
        """It is deleted; harmless if another function has taken the name."""
        key = (function.account_id, function.name)
        current = self.latest(*key)
        if current is not None and current.function_id == function.function_id:
            self._functions.pop(key, None)
            self._disabled.pop(key, None)
            self._qualified.pop(key, None)
            self.generation += 1

    def latest(self, account_id: str, name: str) -> Function | None:
        """The newest revision known, also of a function that is disabled."""
        key = (account_id, name)
        return self._functions.get(key) or self._disabled.get(key)

    def targets(self, account_id: str, name: str) -> Mapping[str, Target]:
        """What each qualifier but LATEST means."""
        return self._qualified.get((account_id, name), {})

    def find(self, account_id: str, name: str, qualifier: str = ids.LATEST, sticky: bytes = b"") -> Function:
        """The function to run. `sticky`: calls with the same text go to the same version of an alias.

        `FunctionNotFound`, `VersionNotFound`, `AliasNotFound`, `InvocationDisabled`.
        """
        function = self._functions.get((account_id, name))
        if function is None:
            raise self._refusal(account_id, name)
        return function if qualifier == ids.LATEST else self._find_qualified(function, qualifier, sticky)

    def _find_qualified(self, function: Function, qualifier: str, sticky: bytes) -> Function:
        target = self.targets(function.account_id, function.name).get(qualifier)
        if target is None:
            word, missing = (
                ("version", errors.VersionNotFound) if qualifier.isdigit() else ("alias", errors.AliasNotFound)
            )
            raise missing(f"{word} '{qualifier[:128]}' of function '{function.name}' does not exist")
        if isinstance(target, Function):
            return target
        return target.choose(version.share_of(sticky) if sticky else self._chance())

    def _refusal(self, account_id: str, name: str) -> errors.FunctoryError:
        disabled = self._disabled.get((account_id, name))
        if disabled is None:
            return errors.FunctionNotFound(name)
        if disabled.restriction is None:
            return _not_ready(disabled)
        reason = disabled.restriction.reason
        return errors.InvocationDisabled(
            f"invocation of function '{name}' is disabled" + (f": {reason}" if reason else ""),
            hint="EnableFunctionInvocation allows it again",
        )


def _not_ready(function: Function) -> errors.FunctionNotReady:
    image = function.image
    if image is not None and image.state is ImageState.FAILED:
        return errors.FunctionNotReady(
            f"function '{function.name}' is in state Failed: {image.reason}", hint="deploy it with an image that works"
        )
    return errors.FunctionNotReady(
        f"function '{function.name}' is in state Pending: its image is being brought here",
        hint="GetFunction tells when it is Active",
    )


def route(routes: Routes, then: Invoke) -> Invoke:
    """Binds the function; raises `NotFound` or `InvocationDisabled` before anything else happens."""

    def step(invocation: Invocation) -> Pending:
        function = invocation.function
        if function is None:
            function = routes.find(
                invocation.account_id, invocation.function_name, invocation.qualifier, invocation.sticky
            )
            invocation.function = function
        return then(invocation)

    return step
