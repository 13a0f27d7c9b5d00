"""POLICY: which programs run ahead of need (`ahead.py`), and how many of each. Pure: uses in, wishes out.

A program that waits costs about 10 MB of its own and no processor time, and saves the start of its interpreter, 35 ms
for Node.js. So:

* A program is kept ready once it was used: whoever runs one such function is likely to start another instance.
* Memory sizes make different programs, as the heap's bound is an argument: only those used last are kept, a few.
* Of each there are two: a caller who finds one taken is not alone. The third waits for his own start, as without stock.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Generic, TypeVar

EACH = 2
"""Kept of each program."""
PROGRAMS = 3
"""Kept ready at once."""

S = TypeVar("S")
Program = tuple[tuple[str, bool], tuple[str, ...]]
"""Which zygote makes it, and its arguments."""


class AheadStock(Generic[S]):
    """What is kept ready, by program, the one used last at the end."""

    def __init__(self, each: int = EACH, programs: int = PROGRAMS) -> None:
        self._each = each
        self._programs = programs
        self._ready: OrderedDict[Program, deque[S]] = OrderedDict()

    def want(self, program: Program) -> list[S]:
        """`program` is used: some of it are kept from now on. Answers those of another that are kept no longer."""
        self._ready.setdefault(program, deque())
        self._ready.move_to_end(program)
        forgotten: list[S] = []
        while len(self._ready) > self._programs:
            forgotten += self._ready.popitem(last=False)[1]
        return forgotten

    def take(self, program: Program) -> S | None:
        """One that is ready, if there is one."""
        stems = self._ready.get(program)
        return stems.popleft() if stems else None

    def missing(self) -> Program | None:
        """Of which one more should be made, the one used last first; None if all is there."""
        return next((one for one, stems in reversed(self._ready.items()) if len(stems) < self._each), None)

    def add(self, program: Program, stem: S) -> None:
        """One more is ready."""
        self._ready[program].append(stem)

    def give_up(self, program: Program) -> list[S]:
        """One could not be made: none is kept until it is used again. Answers those that were ready."""
        return list(self._ready.pop(program, ()))

    def __iter__(self) -> Iterator[S]:
        return iter([stem for stems in self._ready.values() for stem in stems])

    def clear(self) -> None:
        """Nothing is kept any more."""
        self._ready.clear()
