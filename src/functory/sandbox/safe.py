"""The strict shell around any back end, so that back ends can stay simple.

    create ──→ alive ──→ destroyed        kill, poll and destroy are harmless in every state

What it adds: one call at a time; a box is destroyed at its first error, and an error of `kill` or `poll` is an end
instead of an exception; every box that was created is told by `reap` exactly once, after it was destroyed; listeners
hear of each box `create` first and `destroy` last, once each.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from functory.model.instance import Exit, Gauges, GroupFiles, InstanceSpec
from functory.sandbox.base import Listener, Sandbox, SandboxError, SandboxMaker, Tier


class SafeSandbox:
    """One box, safe to use at any time."""

    def __init__(self, inner: Sandbox, owner: SafeSandboxes) -> None:
        self._inner = inner
        self._owner = owner
        self._id = inner.id
        self._exit: Exit | None = None
        self._dead = False

    @property
    def id(self) -> str:
        """The instance id."""
        return self._id

    @property
    def inner(self) -> Sandbox:
        """The back end's own."""
        return self._inner

    @property
    def pid(self) -> int:
        """The main process, as the host numbers it; 0 once it is gone."""
        return 0 if self._dead else self._inner.pid

    @property
    def files(self) -> GroupFiles:
        """Its control group's files, for who freezes it; empty if it has none."""
        return GroupFiles() if self._dead else self._inner.files

    @property
    def gauges(self) -> Gauges | None:
        """Where the kernel tells what the tree uses; None where it does not."""
        return self._inner.gauges

    def relayed(self) -> Sequence[int]:
        """Sockets in its network for whoever relays it, once, the caller's to close."""
        with self._owner.lock:
            return () if self._dead else self._inner.relayed()

    def kill(self) -> None:
        """End the whole tree now."""
        with self._owner.lock:
            if self._dead:
                return
            try:
                self._inner.kill()
            except Exception:
                self.destroy()

    def poll(self) -> Exit | None:
        """How the main process ended, or None while it runs. A box that was destroyed alive counts as killed."""
        with self._owner.lock:
            if self._exit is None and not self._dead:
                try:
                    self._exit = self._inner.poll()
                except Exception:
                    self.destroy()
            return self._exit

    def destroy(self) -> None:
        """Kill what is left and give everything back."""
        with self._owner.lock:
            if self._dead:
                return
            try:
                self._inner.destroy()
            finally:
                self.gone(Exit(instance_id=self._id, signal=9, killed=True))

    def ended(self, exit_: Exit) -> None:
        """The back end says how it ended."""
        self._exit = self._exit or exit_
        self.destroy()

    def gone(self, otherwise: Exit) -> None:
        """It is destroyed; `otherwise` is how, if nothing better is known."""
        if not self._dead:
            self._dead = True
            self._exit = self._exit or otherwise
            self._owner.destroyed(self, self._exit)


class SafeSandboxes:
    """A back end, safe to use at any time."""

    def __init__(self, inner: SandboxMaker, listeners: Iterable[Listener] = ()) -> None:
        self._inner = inner
        self._listeners = tuple(listeners)
        self._boxes: dict[str, SafeSandbox] = {}
        self._untold: list[Exit] = []
        self._closed = False
        self.lock = threading.RLock()

    @property
    def tier(self) -> Tier:
        """What its boxes are worth."""
        return self._inner.tier

    def create(self, spec: InstanceSpec, fds: Sequence[int], parent: Sandbox | None = None) -> SafeSandbox:
        """A running box; every failure of the back end is a `SandboxError`. `parent`: one of ours, or none if dead."""
        with self.lock:
            if self._closed:
                raise SandboxError("the maker is closed: no box can be made any more")
            if spec.instance_id in self._boxes:
                raise SandboxError(f"instance {spec.instance_id} exists already")
            try:
                known = self._boxes.get(parent.id) if parent is not None else None
                inner = self._inner.create(spec, fds, known.inner if known is not None else None)
            except SandboxError:
                raise
            except Exception as failure:
                raise SandboxError(f"{type(failure).__name__}: {failure}") from failure
            box = SafeSandbox(inner, self)
            self._boxes[box.id] = box
            self._tell("create", box)
            return box

    def get(self, instance_id: str) -> SafeSandbox | None:
        """The living box of this id."""
        return self._boxes.get(instance_id)

    def fileno(self) -> Sequence[int]:
        """Descriptors that become readable when `reap` has something to do."""
        return () if self._closed else self._inner.fileno()

    def reap(self) -> Sequence[Exit]:
        """The boxes that ended since the last call, each once, destroyed already; after `close`, all that were left."""
        with self.lock:
            for exit_ in () if self._closed else self._inner.reap():
                box = self._boxes.get(exit_.instance_id)
                if box is not None:  # destroyed boxes ended when they were destroyed
                    box.ended(exit_)
            exits, self._untold = self._untold, []
            return exits

    def close(self) -> None:
        """Destroy all boxes and everything kept for making them."""
        with self.lock:
            if self._closed:
                return
            self._closed = True
            try:
                self._inner.close()
            finally:
                for box in list(self._boxes.values()):
                    box.gone(Exit(instance_id=box.id, signal=9, killed=True))

    def destroyed(self, box: SafeSandbox, exit_: Exit) -> None:
        """A box gave everything back."""
        self._boxes.pop(box.id, None)
        self._untold.append(exit_)
        self._tell("destroy", box)

    def _tell(self, what: str, box: SafeSandbox) -> None:
        for listener in self._listeners:
            listener(what, box)
