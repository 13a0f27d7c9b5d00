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
from collections.abc import Sequence

import msgspec

from functory.model.instance import Exit, InstanceSpec
from functory.sandbox import cgroups, confine, layering, skeleton, template
from functory.sandbox.base import Sandbox, SandboxError
from functory.sandbox.boxed import NamespaceSandbox
from functory.sandbox.handle import Forker
from functory.sandbox.nest import Assignment, Nest, Stem, StemDied, open_mounts
from functory.sandbox.process import say
from functory.sandbox.stems import STOCK, Stems, key_of
from functory.sandbox.tiers import NamespaceTier
from functory.sandbox.walls import IMAGE_LAYERS

__all__ = ["NamespaceSandbox", "NamespaceSandboxes"]

_LAYERS_MAX = skeleton.LAYER_PLACES


class NamespaceSandboxes:
    """Makes boxes. One at a time: the shell above sees to it."""

    def __init__(self, tier: NamespaceTier, *, groups: cgroups.Groups | None = None, lifeline: int = -1) -> None:
        """`tier`: what was found to work. `lifeline`: a descriptor that stays open while any zygote lives."""
        self.stems = Stems(tier, groups=groups, lifeline=lifeline, on_ending=self._ending)
        self._tier = tier
        self._boxes: dict[str, NamespaceSandbox] = {}
        self._by_stem: dict[str, NamespaceSandbox] = {}
        self._templates: dict[str, NamespaceSandbox] = {}

    @property
    def tier(self) -> NamespaceTier:
        """What its boxes are worth."""
        return self._tier

    def prepare(self, interpreters: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
        """Warms zygotes for `interpreters`, side by side; answers versions, and why the others failed, by path."""
        return self.stems.prepare(interpreters)

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
        keeper = self.stems.new(self.stems.nest(key_of(spec)), template=True)
        try:
            self._bound(keeper, spec)
            return template.open_template(keeper, self._assignment(spec), fds)
        except (OSError, SandboxError) as failure:
            self.stems.drop(keeper)
            raise SandboxError(str(failure)) from failure

    def _copied(self, spec: InstanceSpec, fds: Sequence[int], parent: NamespaceSandbox) -> Stem | None:
        """A fork of a template; None if that is not to be had now: the instance is made without it then."""
        if parent.template is None:
            return None
        parent.template.read()
        for _ in range(template.STOCK + 1):
            try:
                stem = parent.template.take(self.stems.new)
            except SandboxError:
                return None
            try:
                self._bound(stem, spec)
                stem.assign(self._assignment(spec), fds)
            except (OSError, SandboxError):
                self.stems.drop(stem)
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
        assignment = self._assignment(spec)
        for last in (*[False] * (2 * STOCK), True):
            try:
                stem = self.stems.take(spec, fds[:3])
                try:
                    self._bound(stem, spec)
                    return stem, _send(stem, assignment, fds, mounts)
                except (OSError, SandboxError):
                    self.stems.drop(stem)
                    raise
            except (OSError, SandboxError) as failure:
                if last or (not isinstance(failure, StemDied) and self.stems.is_well(key_of(spec))):
                    raise SandboxError(str(failure)) from failure
        raise AssertionError

    def fileno(self) -> Sequence[int]:
        """Readable when `reap` has something to do."""
        makers: list[Forker] = [*self.stems.nests.values(), *self._links]
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
        for key, nest in list(self.stems.nests.items()):
            nest.read()
            exits += self._take_ended(nest)
            if not nest.alive:
                self.stems.nests.pop(key)
                exits += self._bury(nest)
        dying, self.stems.dying = self.stems.dying, []
        for nest in dying:
            exits += self._bury(nest)
        self.stems.remove_groups()
        return exits

    def close(self) -> None:
        """Destroy all boxes and end all zygotes."""
        for box in self._boxes.values():
            box.let_die()
        for stem in self.stems:
            stem.let_go()
        of_templates = [stem for link in self._links for stem in link.stems]
        template.close_all(self._links)
        self.stems.end_zygotes()
        for box in self._boxes.values():
            box.stem.let_go()
        for stem in (*(box.stem for box in self._boxes.values()), *of_templates):
            if stem.group is not None:
                stem.group.remove()
        self.stems.close()
        self._boxes.clear()
        self._by_stem.clear()
        self._templates.clear()

    def forget(self, box: NamespaceSandbox) -> None:
        """The box is destroyed."""
        self._boxes.pop(box.id, None)
        self._by_stem.pop(box.stem.name, None)
        self._templates.pop(box.id, None)
        if box.template is not None:
            template.close_all([box.template])
            for stem in box.template.stems:
                self.stems.give_back(stem.group)
        box.stem.let_go()
        self.stems.give_back(box.stem.group)

    # --- stock ----------------------------------------------------------------------------------------------------

    @property
    def short(self) -> bool:
        """Whether `refill` has something to do, once nobody waits for anything else."""
        return self.stems.short or any(link.short for link in self._links)

    def expect(self, spec: InstanceSpec) -> None:
        """Instances like this will be asked for: what can stand ready for them is made in the next quiet moments."""
        self.stems.expect(spec)

    def refill(self) -> None:
        """Makes one stem more, or one network."""
        for link in self._links:
            if link.short:
                with contextlib.suppress(SandboxError):
                    link.stems.append(self.stems.new(link))
                return
        self.stems.refill()

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

    # --- ends -----------------------------------------------------------------------------------------------------

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
