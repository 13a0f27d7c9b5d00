"""Step 1: which function revision a name means now.

The table is held in memory and swapped by the control plane after its commit, so a call never waits for the store.
"""

from __future__ import annotations

from functory.model import errors, ids
from functory.model.function import Function
from functory.model.invocation import Invocation, Invoke, Pending


class Routes:
    """The functions that can be called, by account and name."""

    def __init__(self) -> None:
        self._functions: dict[tuple[str, str], Function] = {}
        self.generation = 0
        """Counts changes; a cached answer of `find` is valid as long as this stands still."""

    def put(self, function: Function) -> Function | None:
        """This revision is called from now on, unless a newer one is known. Answers the one it replaces."""
        key = (function.account_id, function.name)
        old = self._functions.get(key)
        if old is not None and old.function_id == function.function_id and old.epoch >= function.epoch:
            return None
        self._functions[key] = function
        self.generation += 1
        return old

    def drop(self, function: Function) -> None:
        """It is deleted; harmless if another function has taken the name."""
        key = (function.account_id, function.name)
        current = self._functions.get(key)
        if current is not None and current.function_id == function.function_id:
            del self._functions[key]
            self.generation += 1

    def find(self, account_id: str, name: str, qualifier: str = ids.LATEST) -> Function:
        """The function to run; `FunctionNotFound`, or `VersionNotFound` / `AliasNotFound` for another qualifier."""
        function = self._functions.get((account_id, name))
        if function is None:
            raise errors.FunctionNotFound(name)
        if qualifier != ids.LATEST:
            missing = errors.VersionNotFound if qualifier.isdigit() else errors.AliasNotFound
            word = "version" if qualifier.isdigit() else "alias"
            raise missing(f"{word} '{qualifier}' of function '{name}' does not exist")
        return function


def route(routes: Routes, then: Invoke) -> Invoke:
    """Binds the function; raises `NotFound` before anything else happens."""

    def step(invocation: Invocation) -> Pending:
        function = invocation.function
        if function is None:
            function = routes.find(invocation.account_id, invocation.function_name, invocation.qualifier)
            invocation.function = function
        return then(invocation)

    return step
