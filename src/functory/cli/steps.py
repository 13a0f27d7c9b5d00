"""Steps of a deployment as they are shown: taken one after the other, or only planned."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from rich.text import Text

from functory.cli import screen, words
from functory.sdk.steps import Action, Step

_DONE = {Action.CREATE: "created", Action.UPDATE: "updated", Action.DELETE: "deleted", Action.KEEP: "unchanged"}
_MARKS = {
    Action.CREATE: ("+", "green"),
    Action.UPDATE: ("~", "yellow"),
    Action.DELETE: ("-", "red"),
    Action.KEEP: ("=", "dim"),
}
_TO_DO = {Action.CREATE: "to create", Action.UPDATE: "to change", Action.DELETE: "to delete", Action.KEEP: "unchanged"}


class Steps:
    """Says what was done and how long it took, as it happens."""

    def __init__(self) -> None:
        self.total_us = 0.0

    @contextmanager
    def step(self, doing: str, *, since: float | None = None) -> Iterator[Told]:
        """One step: a spinner while it runs, a line when it is done. `since`: when it began, if that was before."""
        step = Told()
        started = time.perf_counter() if since is None else since
        with screen.waiting(doing):
            yield step
        took_us = (time.perf_counter() - started) * 1e6
        self.total_us += took_us
        line = Text.assemble(("  ✓ ", "green"), f"{step.what:<13}", f"{step.detail:<58} ")
        screen.err.print(line.append(f"{words.duration(took_us):>8}", style="dim"), soft_wrap=True)

    def take(self, steps: Iterable[Step]) -> None:
        """Takes all of them, in order; each looks only when the one before is done."""
        looked = time.perf_counter()  # looking is most of the work where nothing is to be done
        for step in steps:
            with self.step(f"{step.noun} {step.name}", since=looked) as told:
                found = step.act()
                tail = f", {found}" if found else ""
                told.done(step.noun, f"{step.name} {_DONE[step.action]}{tail}")
            looked = time.perf_counter()


class Told:
    """What a step has to say when it is done."""

    what = ""
    detail = ""

    def done(self, what: str, detail: str) -> None:
        self.what, self.detail = what, detail


class Plan:
    """Steps that are shown and not taken."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._described: list[dict[str, Any]] = []
        self._counts: Counter[Action] = Counter()

    def show(self, steps: Iterable[Step], *, of: str = "") -> None:
        """A line for each, and one for each field that would change. `of`: the function that they stand around."""
        for step in steps:
            self._counts[step.action] += 1
            self._described.append({**step.described(), **({"of": of} if of else {})})
            if not self._as_json:
                _print(step)

    def end(self) -> None:
        """The sum of it."""
        if self._as_json:
            screen.json(msgspec.json.encode(self._described))
            return
        total = ", ".join(f"{self._counts[action]} {_TO_DO[action]}" for action in Action if self._counts[action])
        screen.out.print(Text(f"\n{total or 'nothing to do'}. Nothing was changed.", style="dim"))


def _print(step: Step) -> None:
    mark, style = _MARKS[step.action]
    screen.out.print(Text.assemble((f"  {mark} ", style), f"{step.noun:<12}", (step.name, "bold")), soft_wrap=True)
    for difference in step.differences:
        screen.out.print(Text(f"      {difference}", style="dim"), soft_wrap=True)
