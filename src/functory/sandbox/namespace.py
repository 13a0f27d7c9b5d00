"""Tiers A to B0: each instance in namespaces of its own, without any right, below a filter of system calls.

Each interpreter has a boxed zygote (`launcher.py`, `cells.py`), made when first needed, and a few stems: processes
that have their namespaces and control group and wait for what they shall be. Starting an instance is one message to a
stem. Where root runs the node, each instance has a user id of its own, on the host too.

    create ── stem from stock, or made now ──→ bounds set ──→ code as a read-only mount ──→ assigned

Network: an instance shares the node's, or has one of its own: empty, or with sockets that the node relays.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections import deque
from collections.abc import Sequence

import msgspec

from functory.model.instance import Exit, Gauges, GroupFiles, InstanceSpec
from functory.sandbox import cgroups, confine, layering, skeleton, template
from functory.sandbox.ahead_stock import AheadStock
from functory.sandbox.base import Sandbox, SandboxError
from functory.sandbox.cells import IMAGE_LAYERS
from functory.sandbox.handle import Ended, Forker
from functory.sandbox.nest import Assignment, Nest, Plan, Stem, StemDied, StemMaker, open_mounts
from functory.sandbox.process import UIDS, WIDE_PRELOAD, say, wants_wide
from functory.sandbox.tiers import NamespaceTier

STOCK = 3
"""Stems per zygote that has been used. Each takes about 1.5 MB."""
_FIRST_INSIDE = 10_000
"""User ids of instances, as they see them."""
_LAYERS_MAX = skeleton.LAYER_PLACES

Key = tuple[str, bool]
"""Interpreter, and whether its zygote is a wide one."""


class NamespaceSandbox:
    """An instance in its box."""

    def __init__(self, maker: NamespaceSandboxes, spec: InstanceSpec, stem: Stem, relayed: Sequence[int] = ()) -> None:
        self._maker = maker
        self._stem = stem
        self._relayed = relayed
        self._exit: Exit | None = None
        self._killed = False
        self.id = spec.instance_id
        self.pid = stem.pid
        self.template: template.Template | None = None
        """Its children are instances, if it is one."""

    @property
    def stem(self) -> Stem:
        """The process it was made from."""
        return self._stem

    @property
    def files(self) -> GroupFiles:
        """Its control group's files; empty if there are none here."""
        return self._stem.group.files() if self._stem.group is not None else GroupFiles()

    @property
    def gauges(self) -> Gauges | None:
        """Where the kernel tells what the tree uses."""
        return self._stem.group.gauges if self._stem.group is not None else None

    def relayed(self) -> Sequence[int]:
        """The sockets of its network, once; the caller's to close."""
        sockets, self._relayed = self._relayed, ()
        return sockets

    def kill(self) -> None:
        """End the whole tree now."""
        if self._exit is None:
            self._killed = template.kill(self._stem)
            if not self._killed:
                self._stem.nest.kill(self._stem.name)
            self.let_die()  # after the kill: what is frozen shall not run on before it

    def let_die(self) -> None:
        """It is being killed: neither its share of processor time nor its being frozen may hold that up."""
        if self._stem.group is not None:
            self._stem.group.let_run()
            self._stem.group.thaw()

    def poll(self) -> Exit | None:
        """How the main process ended, or None while it runs."""
        return self._exit

    def destroy(self) -> None:
        """Kill what is left and give everything back."""
        if self._exit is None:
            self.let_die()
            killed = template.kill(self._stem)
            self.ended(None if killed else self._stem.nest.end_instance(self._stem.name))
        for fd in self.relayed():
            os.close(fd)
        self._maker.forget(self)

    def ended(self, ended: Ended | None) -> Exit:
        """Takes in how it ended; None = with its zygote."""
        status, killed = (ended.status, ended.killed) if ended is not None else (int(signal.SIGKILL), False)
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        group = self._stem.group
        # Whoever does not survive the death of a child of his counts too: the kernel takes the largest process.
        # And whoever was killed on our wish may have been dead already: the node kills what closes its end.
        kills = group.oom_kills() if group is not None else 0
        self._exit = Exit(
            instance_id=self.id,
            code=0 if number else os.WEXITSTATUS(status),
            signal=number,
            killed=killed or self._killed,
            out_of_memory=status != 0 and kills > 0,
            oom_kills=kills,
        )
        self.pid = 0
        return self._exit


class NamespaceSandboxes:
    """Makes boxes. One at a time: the shell above sees to it."""

    def __init__(self, tier: NamespaceTier, *, groups: cgroups.Groups | None = None, lifeline: int = -1) -> None:
        """`tier`: what was found to work. `lifeline`: a descriptor that stays open while any zygote lives."""
        self._tier = tier
        self._groups = groups
        self._lifeline = lifeline
        self._nests: dict[Key, Nest] = {}
        self._stems: dict[Key, deque[Stem]] = {}
        self._ahead: AheadStock[Stem] = AheadStock()
        self._wanted: set[Key] = set()
        """Keys whose stock is kept up: those that have been used."""
        self._boxes: dict[str, NamespaceSandbox] = {}
        self._by_stem: dict[str, NamespaceSandbox] = {}
        self._templates: dict[str, NamespaceSandbox] = {}
        self._dying: list[Nest] = []
        self._unremoved: list[cgroups.Group] = []
        self._number = 0

    @property
    def tier(self) -> NamespaceTier:
        """What its boxes are worth."""
        return self._tier

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
                self._nests[key] = nest
                versions[nest.interpreter] = nest.version
                self._wanted.add(key)
            except SandboxError as failure:
                failures[nest.interpreter] = str(failure)
        return versions, failures

    def create(self, spec: InstanceSpec, fds: Sequence[int], parent: Sandbox | None = None) -> NamespaceSandbox:
        """A running box for `spec`; a fork of `parent` if that can be had at once."""
        if spec.instance_id in self._boxes:
            raise SandboxError(f"instance {spec.instance_id} exists already")
        if len(spec.layer_dirs) > _LAYERS_MAX:
            raise SandboxError(f"it has {len(spec.layer_dirs)} layers, {_LAYERS_MAX} are allowed")
        if spec.image is not None and not 0 < len(spec.image.layers) <= IMAGE_LAYERS:
            raise SandboxError(f"its image has {len(spec.image.layers)} layers, 1 to {IMAGE_LAYERS} are allowed")
        stem = self._copied(spec, fds, parent) if isinstance(parent, NamespaceSandbox) else None
        relayed: Sequence[int] = ()
        opened: template.Template | None = None
        if stem is None:
            mounts = open_mounts(spec)
            try:
                if spec.template:
                    opened = self._opened(spec, [*fds, *mounts])
                    stem = opened.keeper
                else:
                    stem, relayed = self._assigned(spec, fds, mounts)
            finally:
                for fd in mounts:
                    os.close(fd)
        box = NamespaceSandbox(self, spec, stem, relayed)
        box.template = opened
        if opened is not None:
            self._templates[box.id] = box
        self._boxes[box.id] = self._by_stem[stem.name] = box
        return box

    def _opened(self, spec: InstanceSpec, fds: Sequence[int]) -> template.Template:
        """A new template; it has its code still to load."""
        keeper = self._new_stem(self._nest((spec.runtime, wants_wide(spec))), template=True)
        try:
            self._bound(keeper, spec)
            return template.open_template(keeper, self._assignment(spec), fds)
        except (OSError, SandboxError) as failure:
            self._drop(keeper)
            raise SandboxError(str(failure)) from failure

    def _copied(self, spec: InstanceSpec, fds: Sequence[int], parent: NamespaceSandbox) -> Stem | None:
        """A fork of a template; None if that is not to be had now: the instance is made without it then."""
        if parent.template is None:
            return None
        parent.template.read()
        for _ in range(template.STOCK + 1):
            try:
                stem = parent.template.take(self._new_stem)
            except SandboxError:
                return None
            try:
                self._bound(stem, spec)
                stem.assign(self._assignment(spec), fds)
            except (OSError, SandboxError):
                self._drop(stem)
            else:
                return stem
        return None

    def _assignment(self, spec: InstanceSpec) -> Assignment:
        return Assignment(
            spec=self._as_seen_inside(spec), network=spec.network, rules=spec.network_rules, opt=self._tier.layers
        )

    def _assigned(self, spec: InstanceSpec, fds: Sequence[int], mounts: Sequence[int]) -> tuple[Stem, Sequence[int]]:
        """A stem that was made an instance, and the sockets of its network.

        Those in stock may have died with their zygote, unnoticed so far.
        """
        key = (spec.runtime, wants_wide(spec))
        assignment = self._assignment(spec)
        for last in (*[False] * (2 * STOCK), True):
            try:
                stem = self._running_ahead(key, spec, fds[:3]) or self._stem(key)
                try:
                    self._bound(stem, spec)
                    return stem, _send(stem, assignment, fds, mounts)
                except (OSError, SandboxError):
                    self._drop(stem)
                    raise
            except (OSError, SandboxError) as failure:
                if last or (not isinstance(failure, StemDied) and self._is_well(key)):
                    raise SandboxError(str(failure)) from failure
        raise AssertionError

    def _is_well(self, key: Key) -> bool:
        nest = self._nests.get(key)
        if nest is not None:
            nest.read()
        return nest is not None and nest.alive

    def fileno(self) -> Sequence[int]:
        """Readable when `reap` has something to do."""
        makers: list[Forker] = [*self._nests.values(), *self._links]
        return [maker.fileno() for maker in makers if maker.alive]

    @property
    def _links(self) -> list[template.Template]:
        return [box.template for box in self._templates.values() if box.template is not None]

    def reap(self) -> Sequence[Exit]:
        """The boxes that ended since the last call."""
        exits: list[Exit] = []
        for box in list(self._templates.values()):
            if box.template is not None:
                box.template.read()
                exits += self._take_ended(box.template)
                if not box.template.alive:
                    box.kill()  # dead already, or not to be trusted with anything any more
        for key, nest in list(self._nests.items()):
            nest.read()
            exits += self._take_ended(nest)
            if not nest.alive:
                self._nests.pop(key)
                exits += self._bury(nest)
        dying, self._dying = self._dying, []
        for nest in dying:
            exits += self._bury(nest)
        self._unremoved = [group for group in self._unremoved if not group.remove()]
        return exits

    def close(self) -> None:
        """Destroy all boxes and end all zygotes."""
        for box in self._boxes.values():
            box.let_die()
        kept = [*self._ahead, *(stem for stems in self._stems.values() for stem in stems)]
        for stem in kept:
            stem.let_go()
        kept += [stem for link in self._links for stem in link.stems]
        template.close_all(self._links)
        for nest in (*self._nests.values(), *self._dying):
            nest.end()
        for box in self._boxes.values():
            box.stem.let_go()
        groups = [box.stem.group for box in self._boxes.values()]
        groups += [stem.group for stem in kept]
        for group in (*groups, *self._unremoved):
            if group is not None:
                group.remove()
        self._nests.clear()
        self._stems.clear()
        self._ahead.clear()
        self._boxes.clear()
        self._by_stem.clear()
        self._templates.clear()
        if self._groups is not None:
            self._groups.close()

    def forget(self, box: NamespaceSandbox) -> None:
        """The box is destroyed."""
        self._boxes.pop(box.id, None)
        self._by_stem.pop(box.stem.name, None)
        self._templates.pop(box.id, None)
        if box.template is not None:
            template.close_all([box.template])
            for stem in box.template.stems:
                self._give_back(stem.group)
        box.stem.let_go()
        self._give_back(box.stem.group)

    # --- stock ----------------------------------------------------------------------------------------------------

    @property
    def short(self) -> bool:
        """Whether `refill` has something to do, once nobody waits for anything else."""
        return (
            any(len(self._stems.get(key, ())) < STOCK for key in self._wanted)
            or self._ahead.missing() is not None
            or any(link.short for link in self._links)
            or any(nest.networks.short for nest in self._nests.values())
        )

    def expect(self, spec: InstanceSpec) -> None:
        """Instances like this will be asked for: what can stand ready for them is made in the next quiet moments."""
        key = (spec.runtime, wants_wide(spec))
        self._wanted.add(key)
        if spec.ahead:
            for one in self._ahead.want((key, spec.argv)):
                self._drop(one)

    def refill(self) -> None:
        """Makes one stem more, or one network."""
        for link in self._links:
            if link.short:
                with contextlib.suppress(SandboxError):
                    link.stems.append(self._new_stem(link))
                return
        for key in self._wanted:
            stems = self._stems.setdefault(key, deque())
            if len(stems) < STOCK:
                try:
                    stems.append(self._make_stem(key))
                except SandboxError as failure:
                    say(f"no process could be prepared, the next start tries again: {failure}")
                    self._wanted.discard(key)
                return
        for nest in self._nests.values():
            if nest.networks.short:
                nest.networks.refill()
                return
        self._refill_ahead()

    def _refill_ahead(self) -> None:
        program = self._ahead.missing()
        if program is None:
            return
        key, argv = program
        try:
            stem = self._make_stem(key)
            try:
                stem.start_ahead(argv)
            except SandboxError:
                self._drop(stem)
                raise
        except SandboxError as failure:
            say(f"no program could be started ahead of need, the next start tries again: {failure}")
            for one in self._ahead.give_up(program):
                self._drop(one)
        else:
            self._ahead.add(program, stem)

    def _running_ahead(self, key: Key, spec: InstanceSpec, pipes: Sequence[int]) -> Stem | None:
        """A stem whose program is the wanted one. An empty network has to be entered before a program starts."""
        if not spec.ahead or spec.network != "host":
            return None
        self.expect(spec)
        stem = self._ahead.take((key, spec.argv))
        if stem is None:
            return None
        if stem.nest.alive:
            for fd in pipes:  # it opens them anew, as a user who did not make them; nobody else can reach them
                os.fchmod(fd, 0o666)
            return stem
        self._drop(stem)
        return self._running_ahead(key, spec, pipes)

    def _stem(self, key: Key) -> Stem:
        self._wanted.add(key)
        stems = self._stems.get(key)
        while stems:
            stem = stems.popleft()
            if stem.nest.alive:
                return stem
            self._drop(stem)
        return self._make_stem(key)

    def _make_stem(self, key: Key) -> Stem:
        return self._new_stem(self._nest(key))

    def _new_stem(self, maker: StemMaker, *, template: bool = False) -> Stem:
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
            self._give_back(group)
            raise SandboxError(str(failure)) from failure
        return stem

    def _drop(self, stem: Stem) -> None:
        """A stem that will not be an instance."""
        stem.let_go()
        stem.nest.kill(stem.name)
        self._give_back(stem.group)

    def _give_back(self, group: cgroups.Group | None) -> None:
        if group is not None and not group.remove():
            self._unremoved.append(group)

    def _bound(self, stem: Stem, spec: InstanceSpec) -> None:
        if stem.group is not None:
            # What lies in /tmp is memory too, and has a bound of its own. What a runtime only reserves is not.
            memory_mb = spec.memory_mb + confine.HEADROOM_MB + spec.disk_mb
            stem.group.limit(memory_mb, confine.TASKS, spec.cpu)

    def _as_seen_inside(self, spec: InstanceSpec) -> InstanceSpec:
        code = spec.code_dir.rstrip("/")
        environment = {
            name: skeleton.CODE + value[len(code) :] if value == code or value.startswith(code + "/") else value
            for name, value in spec.environment.items()
        }
        places = (self._tier.layers,) if spec.layer_dirs else ()
        return msgspec.structs.replace(
            spec,
            code_dir=skeleton.CODE,
            layer_dirs=places,
            network_rules="",
            environment=layering.environment(
                environment, places, program=spec.program is not None, exists=lambda _: True
            ),
            image=msgspec.structs.replace(spec.image, layers=()) if spec.image is not None else None,
        )

    # --- zygotes --------------------------------------------------------------------------------------------------

    def _nest(self, key: Key) -> Nest:
        nest = self._nests.get(key)
        if nest is not None and not nest.alive:
            self._dying.append(self._nests.pop(key))
            nest = None
        if nest is None:
            nest = self._begin(key)
            nest.wait_ready()
            self._nests[key] = nest
        return nest

    def _begin(self, key: Key) -> Nest:
        interpreter, wide = key
        plan = Plan(uid_map=self._tier.uid_map, uid=self._tier.uid, preload=WIDE_PRELOAD if wide else ())
        return Nest(interpreter, plan, self._lifeline, self._ending)

    def _ending(self, name: str) -> None:
        box = self._by_stem.get(name)
        if box is not None:
            box.let_die()

    def _take_ended(self, maker: Forker) -> list[Exit]:
        exits = []
        while maker.ended:
            ended = maker.ended.popleft()
            box = self._by_stem.get(ended.id)
            if box is not None and box.poll() is None:
                exits += [box.ended(ended), *self._lost_with(box.template)]
        return exits

    def _lost_with(self, maker: Forker | None) -> list[Exit]:
        """What ends with a zygote or a template: its instances, and theirs."""
        exits = []
        for box in [box for box in self._boxes.values() if box.stem.nest is maker and box.poll() is None]:
            exits += [box.ended(None), *self._lost_with(box.template)]
        return exits

    def _bury(self, nest: Nest) -> list[Exit]:
        """A zygote died: so did its instances, with its namespace."""
        say(f"the zygote of {nest.interpreter} died; its instances are ended, the next one starts a new zygote")
        exits = self._take_ended(nest)
        for box in self._boxes.values():
            if box.stem.nest is nest:
                box.let_die()
        nest.end(limit_s=1)
        return exits + self._lost_with(nest)


def _send(stem: Stem, assignment: Assignment, fds: Sequence[int], mounts: Sequence[int]) -> Sequence[int]:
    """Makes a stem an instance; the sockets of its network."""
    if assignment.network == "host":
        stem.assign(assignment, [*fds, *mounts])
        return ()
    assert isinstance(stem.nest, Nest)  # copies of templates have the host's
    network = stem.nest.networks.take(assignment.network, assignment.rules)
    try:
        entering = msgspec.structs.replace(assignment, rules=network.rules)
        stem.assign(entering, [*fds, network.namespace, *mounts])
    except BaseException:
        network.close()
        raise
    os.close(network.namespace)
    return network.sockets
