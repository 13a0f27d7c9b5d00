"""The maker's hold on templates: processes that have loaded one function revision and fork its instances.

    open ──assignment──→ loads ──ready──→ stems: one in stock, others on demand ──assignment──→ instances
                           └── refused, broken, stuck ──→ killed with all its instances

A template has run the function's code, so nothing it says is believed: what it sends is bounded and checked, a wait for
it is short, and whatever is wrong with it ends in the kill of its frame, which its zygote does, not itself. An instance
of a template is killed by the first process of its own namespace, without asking the template.
"""

from __future__ import annotations

import contextlib
import signal
import socket
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from functory.sandbox import handle
from functory.sandbox.base import SandboxError
from functory.sandbox.cgroups import Group
from functory.sandbox.nest import Stem, StemMaker

ANSWER_LIMIT_S = 0.25
"""How long a fork may take; everybody else's starts wait meanwhile."""
UNANSWERED_MAX = 3
"""So often a template may be late with a fork; then it is ended, and its function starts without it."""
MESSAGES_AT_ONCE = 64
STOCK = 1
"""Stems per template: what a start does not have to wait for, where control groups are of version 1 most of all."""

NewStem = Callable[[StemMaker], Stem]


class Template(StemMaker):
    """One template's socket."""

    def __init__(self, keeper: Stem, control: socket.socket) -> None:
        """`keeper`: the process that stands for its frame."""
        super().__init__("the function's template", control)
        self.keeper = keeper
        self.ready = False
        self.stems: deque[Stem] = deque()
        self._late = 0
        self._names: set[str] = set()
        self._limit(ANSWER_LIMIT_S)

    @property
    def short(self) -> bool:
        """Whether its stock is to be filled up."""
        return self.ready and self.alive and len(self.stems) < STOCK

    def stem(self, name: str, uid: int, group: Group | None, *, template: bool = False) -> Stem:
        """A new stem; `SandboxError` if it does not come at once."""
        if not self.ready or not self.alive:
            raise SandboxError(f"{self.name} is not ready")
        self._names.add(name)
        made = super().stem(name, uid, None)
        made.group = group  # it is not born there: a template has no right to any group
        return made

    def take(self, new_stem: NewStem) -> Stem:
        """A stem from stock, or made now."""
        return self.stems.popleft() if self.stems else new_stem(self)

    def read(self) -> None:
        """Takes in what it told, without waiting, and not more than it can have to say."""
        for _ in range(MESSAGES_AT_ONCE):
            if not self.alive:
                return
            try:
                answer = self._receive(socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                self._lost()
                return
            if isinstance(answer, handle.Ended):
                self.ended.append(answer)
        self._lost()

    def owns(self, name: str) -> bool:
        """Whether a stem of this name is its child."""
        return name in self._names

    def close(self) -> None:
        """Lets go of its socket: a template that is well ends then."""
        self.alive = False
        self._socket.close()
        self._drop_fds()

    def _receive(self, flags: int = 0) -> handle.Answer | None:
        try:
            answer = super()._receive(flags)
        except msgspec.MsgspecError:
            self._lost()
            return None
        if isinstance(answer, handle.Ready):
            self.ready = True
        elif isinstance(answer, handle.Ended | handle.Ending) and not self.owns(answer.id):
            self._lost()
            return None
        if isinstance(answer, handle.Ended):
            self._names.discard(answer.id)
        return answer

    def _keep_first(self) -> int:
        fds, self._fds = self._fds, self._fds[:1]
        return fds[1] if len(fds) > 1 else -1

    def _unanswered(self) -> None:
        self._late += 1
        if self._late >= UNANSWERED_MAX:
            self._lost()


def kill(stem: Stem) -> bool:
    """Ends a template's instance by its namespace's first process; false if that is not known."""
    if stem.first_fd < 0:
        return False
    with contextlib.suppress(OSError):
        signal.pidfd_send_signal(stem.first_fd, signal.SIGKILL)
    return True


def open_template(keeper: Stem, assignment: msgspec.Struct, fds: Sequence[int]) -> Template:
    """Makes a stem a template."""
    control = keeper.become(assignment, fds)
    control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * handle.MESSAGE_BYTES)
    return Template(keeper, control)


def close_all(templates: Sequence[Template]) -> None:
    """At the end: their stems and themselves."""
    for one in templates:
        for stem in one.stems:
            stem.let_go()
        one.close()
