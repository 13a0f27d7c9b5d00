"""One boxed instance: its process, its control group, how it is killed and how it ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Protocol

from functory.model.instance import Exit, Gauges, GroupFiles, InstanceSpec
from functory.sandbox import template
from functory.sandbox.handle import Ended
from functory.sandbox.nest import Stem


class Owner(Protocol):
    """Who made it."""

    def forget(self, box: NamespaceSandbox) -> None:
        """The box is destroyed."""


class NamespaceSandbox:
    """An instance in its box."""

    def __init__(self, maker: Owner, spec: InstanceSpec, stem: Stem, relayed: Sequence[int] = ()) -> None:
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
