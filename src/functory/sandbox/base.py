"""Seam: a box that runs one process tree.

Back ends live in the spawner, the small single-threaded process that alone makes boxes, so the methods are plain
functions and none of them waits for user code. What every back end promises:

* `create` is the first thing that happens to a box and `destroy` the last; every call after `destroy` is harmless.
* A box made with a `parent` is a fork of the parent's process: it starts with the parent's memory.
* `kill` ends the whole tree, also processes that left the session or ignore SIGTERM, within 50 ms of processor time.
* The box's own main process decides its life: when it ends, the rest of the tree is killed.
* The descriptors handed to `create` belong to the box afterwards; no other descriptor is open in it.
* Nothing of the maker's environment is inherited.
* A network that the back end cannot shut off as asked is an error of `create`, never a wider one.

`safe.SafeSandboxes` wraps any back end and enforces this: serialised calls, destroyed on the first error, harmless when
dead, every box told by `reap` exactly once, listeners told of create first and destroy last. Back ends stay simple
because the shell is strict. `testing.checks.sandbox` is the published suite; a new back end adds its file, and its name
to the suite's list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from functory.model.instance import Exit, Gauges, GroupFiles, InstanceSpec


class SandboxError(Exception):
    """A box could not be made or reached; the message says why in a sentence."""


class Tier(Protocol):
    """How strong the isolation is, said aloud at start, in /healthz and by `functory doctor`."""

    @property
    def name(self) -> str:
        """`A`, `A1`, `B`, `B0`, `C` or `D`."""

    @property
    def summary(self) -> str:
        """A sentence for people: what is shut off, and what is not."""

    @property
    def missing(self) -> Sequence[str]:
        """What would make it better, one sentence each."""


class Sandbox(Protocol):
    """One box."""

    @property
    def id(self) -> str:
        """The instance id."""

    @property
    def pid(self) -> int:
        """The main process, as the host numbers it; 0 once it is gone."""

    @property
    def files(self) -> GroupFiles:
        """Its control group's files, for who freezes it; empty if it has none."""

    @property
    def gauges(self) -> Gauges | None:
        """Where the kernel tells what the tree uses; None where it does not."""

    def relayed(self) -> Sequence[int]:
        """Sockets in its network for whoever relays it, once, the caller's to close; empty but for `allow`."""

    def kill(self) -> None:
        """End the whole tree now, frozen or not."""

    def poll(self) -> Exit | None:
        """How the main process ended, or None while it runs."""

    def destroy(self) -> None:
        """Kill what is left and give everything back."""


class SandboxMaker(Protocol):
    """A back end: makes boxes."""

    @property
    def tier(self) -> Tier:
        """What its boxes are worth, found out by really trying."""

    def create(self, spec: InstanceSpec, fds: Sequence[int], parent: Sandbox | None = None) -> Sandbox:
        """A running box for `spec`. `fds`: request pipe (read end), reply pipe (write end), log pipe (write end).

        `parent`: a box of the same function whose spec says `template`. Where no child of it can be had, the box is
        made as if there were no parent: what it says when it is ready tells which it is.
        """

    def fileno(self) -> Sequence[int]:
        """Descriptors that become readable when `reap` has something to do. Call `reap` after each `create` too."""

    def reap(self) -> Sequence[Exit]:
        """The boxes whose main process ended since the last call; their trees are gone when this returns."""

    def close(self) -> None:
        """Destroy all boxes and everything kept for making them."""


Listener = Callable[[str, Sandbox], None]
"""Told of `("create", box)` first and `("destroy", box)` last."""
