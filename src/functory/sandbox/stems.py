"""The stems of a machine: zygotes made when first needed, processes that stand ready below them, and their groups.

    want ──→ running ahead (`ahead_stock`) ──none──→ in stock ──none──→ made now
                         ▲                     ▲
                         └────── refill, one in each quiet moment

A stem has its namespaces and its control group and waits for what it shall be; the slow moves between groups are off
the way of a start.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from functory.model.instance import InstanceSpec
from functory.sandbox import cgroups
from functory.sandbox.ahead_stock import AheadStock
from functory.sandbox.base import SandboxError
from functory.sandbox.nest import Nest, Plan, Stem, StemMaker
from functory.sandbox.process import UIDS, WIDE_PRELOAD, say, wants_wide
from functory.sandbox.tiers import NamespaceTier

STOCK = 3
"""Stems per zygote that has been used. Each takes about 1.5 MB."""
_FIRST_INSIDE = 10_000
"""User ids of instances, as they see them."""

Key = tuple[str, bool]
"""Interpreter, and whether its zygote is a wide one."""


def key_of(spec: InstanceSpec) -> Key:
    """Which zygote an instance comes from."""
    return spec.runtime, wants_wide(spec)


class Stems:
    """Makes them, keeps some ready, and takes back what became of none."""

    def __init__(
        self,
        tier: NamespaceTier,
        *,
        groups: cgroups.Groups | None,
        lifeline: int,
        on_ending: Callable[[str], None],
    ) -> None:
        """`on_ending`: told the name of a stem whose main process has ended and whose others are being killed."""
        self.nests: dict[Key, Nest] = {}
        self.dying: list[Nest] = []
        """Zygotes that were found dead."""
        self.ahead: AheadStock[Stem] = AheadStock()
        self._tier = tier
        self._groups = groups
        self._lifeline = lifeline
        self._on_ending = on_ending
        self._ready: dict[Key, deque[Stem]] = {}
        self._wanted: set[Key] = set()
        """Keys whose stock is kept up: those that have been used."""
        self._unremoved: list[cgroups.Group] = []
        self._number = 0

    # --- zygotes --------------------------------------------------------------------------------------------------

    def prepare(self, interpreters: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
        """Warms zygotes for `interpreters`, side by side; answers versions, and why the others failed, by path."""
        begun: list[tuple[Key, Nest]] = []
        versions: dict[str, str] = {}
        failures: dict[str, str] = {}
        for key in ((interpreter, wide) for interpreter in interpreters for wide in (False, True)):
            try:
                begun.append((key, self._begin(key)))
            except SandboxError as failure:
                failures[key[0]] = str(failure)
        for key, nest in begun:
            try:
                nest.wait_ready()
                self.nests[key] = nest
                versions[nest.interpreter] = nest.version
                self._wanted.add(key)
            except SandboxError as failure:
                failures[nest.interpreter] = str(failure)
        return versions, failures

    def nest(self, key: Key) -> Nest:
        """The zygote of this key, made if need be."""
        nest = self.nests.get(key)
        if nest is not None and not nest.alive:
            self.dying.append(self.nests.pop(key))
            nest = None
        if nest is None:
            nest = self._begin(key)
            nest.wait_ready()
            self.nests[key] = nest
        return nest

    def is_well(self, key: Key) -> bool:
        """Whether the zygote of this key lives, as far as it has told."""
        nest = self.nests.get(key)
        if nest is not None:
            nest.read()
        return nest is not None and nest.alive

    def _begin(self, key: Key) -> Nest:
        interpreter, wide = key
        plan = Plan(uid_map=self._tier.uid_map, uid=self._tier.uid, preload=WIDE_PRELOAD if wide else ())
        return Nest(interpreter, plan, self._lifeline, self._on_ending)

    # --- one stem ---------------------------------------------------------------------------------------------------

    def take(self, spec: InstanceSpec, pipes: Sequence[int]) -> Stem:
        """One for this instance: whose program runs already, from stock, or made now. `pipes`: its own."""
        return self._running_ahead(spec, pipes) or self._from_stock(key_of(spec))

    def new(self, maker: StemMaker, *, template: bool = False) -> Stem:
        """One more of this maker's; `SandboxError` if it cannot be made."""
        self._number += 1
        name = f"s-{self._number}"
        group = None
        try:
            group = self._groups.make(name) if self._groups is not None else None
            uid = _FIRST_INSIDE + self._number % (UIDS - _FIRST_INSIDE)
            stem = maker.stem(name, uid, group, template=template)
            if group is not None and isinstance(maker, Nest):
                group.move(stem.pid)
            elif group is not None:
                group.adopt(stem.pid)
        except (OSError, SandboxError) as failure:
            self.give_back(group)
            raise SandboxError(str(failure)) from failure
        return stem

    def drop(self, stem: Stem) -> None:
        """It will not be an instance."""
        stem.let_go()
        stem.nest.kill(stem.name)
        self.give_back(stem.group)

    def give_back(self, group: cgroups.Group | None) -> None:
        """Removes a group, now or as soon as it is empty."""
        if group is not None and not group.remove():
            self._unremoved.append(group)

    def _running_ahead(self, spec: InstanceSpec, pipes: Sequence[int]) -> Stem | None:
        """One whose program is the wanted one. A network of its own has to be entered before a program starts."""
        if not spec.ahead or spec.network != "host":
            return None
        self.expect(spec)
        while (stem := self.ahead.take((key_of(spec), spec.argv))) is not None:
            if stem.nest.alive:
                for fd in pipes:  # it opens them anew, as a user who did not make them; nobody else can reach them
                    os.fchmod(fd, 0o666)
                return stem
            self.drop(stem)
        return None

    def _from_stock(self, key: Key) -> Stem:
        self._wanted.add(key)
        stems = self._ready.get(key)
        while stems:
            stem = stems.popleft()
            if stem.nest.alive:
                return stem
            self.drop(stem)
        return self.new(self.nest(key))

    # --- stock ----------------------------------------------------------------------------------------------------

    def expect(self, spec: InstanceSpec) -> None:
        """Instances like this will be asked for: what can stand ready for them is made in the next quiet moments."""
        key = key_of(spec)
        self._wanted.add(key)
        if spec.ahead:
            for one in self.ahead.want((key, spec.argv)):
                self.drop(one)

    @property
    def short(self) -> bool:
        """Whether `refill` has something to do."""
        return (
            any(len(self._ready.get(key, ())) < STOCK for key in self._wanted)
            or self.ahead.missing() is not None
            or any(nest.networks.short for nest in self.nests.values())
        )

    def refill(self) -> None:
        """Makes one stem more, or one network."""
        for key in self._wanted:
            stems = self._ready.setdefault(key, deque())
            if len(stems) < STOCK:
                try:
                    stems.append(self.new(self.nest(key)))
                except SandboxError as failure:
                    say(f"no process could be prepared, the next start tries again: {failure}")
                    self._wanted.discard(key)
                return
        for nest in self.nests.values():
            if nest.networks.short:
                nest.networks.refill()
                return
        self._refill_ahead()

    def _refill_ahead(self) -> None:
        program = self.ahead.missing()
        if program is None:
            return
        key, argv = program
        try:
            stem = self.new(self.nest(key))
            try:
                stem.start_ahead(argv)
            except SandboxError:
                self.drop(stem)
                raise
        except SandboxError as failure:
            say(f"no program could be started ahead of need, the next start tries again: {failure}")
            for one in self.ahead.give_up(program):
                self.drop(one)
        else:
            self.ahead.add(program, stem)

    # --- the end --------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Stem]:
        """All that stand ready."""
        yield from self.ahead
        for stems in self._ready.values():
            yield from stems

    def remove_groups(self) -> None:
        """Tries again to remove those that were not empty yet."""
        self._unremoved = [group for group in self._unremoved if not group.remove()]

    def end_zygotes(self) -> None:
        """Ends all, and what stands below them."""
        for nest in (*self.nests.values(), *self.dying):
            nest.end()

    def close(self) -> None:
        """Removes all groups; the zygotes have ended."""
        for stem in self:
            if stem.group is not None:
                stem.group.remove()
        for group in self._unremoved:
            group.remove()
        self.nests.clear()
        self.dying.clear()
        self._ready.clear()
        self.ahead.clear()
        if self._groups is not None:
            self._groups.close()
