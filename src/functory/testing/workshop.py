"""Boxes that run a few lines of Python, without a node: for tests of sandboxes and runtimes."""

from __future__ import annotations

import functools
import itertools
import os
import select
import shutil
import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from functory.model.instance import Exit, InstanceSpec
from functory.runtimes import wire
from functory.runtimes.python import find_interpreters
from functory.sandbox.base import Sandbox, SandboxMaker
from functory.sandbox.process import FIRST_UID
from functory.testing.conversation import Conversation, Ended, Frame

LIMIT_S = 20.0
_numbers = itertools.count(1)


@functools.cache
def interpreter() -> str:
    """The interpreter that functions of this machine run on."""
    return find_interpreters({}).get("python3").path


class Running:
    """A box and the node's ends of its pipes."""

    def __init__(self, box: Sandbox, talk: Conversation, log_fd: int) -> None:
        self.box = box
        self.talk = talk
        self._log_fd = log_fd

    def hello(self) -> Frame:
        """Waits until it is ready; fails with what it said otherwise."""
        try:
            frame = self.talk.hello()
        except Ended:
            raise AssertionError(f"the instance ended: {self.raw_log().decode(errors='replace')}") from None
        assert frame.type is wire.Type.HELLO, frame.payload
        return frame

    def raw_log(self) -> bytes:
        """What was written to the descriptors 1 and 2 so far."""
        os.set_blocking(self._log_fd, False)
        found = b""
        try:
            while piece := os.read(self._log_fd, 65536):
                found += piece
        except BlockingIOError:
            pass
        return found

    def close(self) -> None:
        """Closes the pipes."""
        self.talk.close()
        if self._log_fd >= 0:
            os.close(self._log_fd)
            self._log_fd = -1


class Workshop:
    """Starts boxes of one maker, and ends them all."""

    def __init__(self, maker: SandboxMaker, runtime: str = "") -> None:
        self.maker = maker
        self.runtime = runtime or interpreter()
        # Not below a test's own folder: that is closed to other users, and instances may have users of their own.
        self.folder = Path(tempfile.mkdtemp(prefix="functory-workshop-"))
        self.folder.chmod(0o755)
        self.exits: dict[str, Exit] = {}
        self._running: list[Running] = []

    @property
    def boxed(self) -> bool:
        """Whether its boxes have a root of their own, in which an image can stand."""
        return self.maker.tier.name not in ("C", "D")

    def give_to_root(self, folder: Path) -> None:
        """The folder and all in it belong to who is root in boxes, as layers of images do."""
        if os.geteuid() == 0:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, FIRST_UID, FIRST_UID, follow_symlinks=False)

    def code(self, source: str, name: str = "index.py") -> Path:
        """A code folder with one file."""
        folder = self.folder / f"code-{next(_numbers)}"
        folder.mkdir()
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(source))
        return folder

    def spec(self, source: str | Path, **fields: Any) -> InstanceSpec:
        """A spec with defaults for all that a test does not care for."""
        folder = source if isinstance(source, Path) else self.code(source)
        known: dict[str, Any] = {
            "instance_id": f"c-{next(_numbers):024x}",
            "runtime": self.runtime,
            "handler": "index.handler",
            "code_dir": str(folder),
            "environment": {},
            "memory_mb": 256,
        }
        return InstanceSpec(**{**known, **fields})

    def make(self, source: str | Path, **fields: Any) -> Running:
        """A box; it may not be ready yet."""
        return self.make_from(None, source, **fields)

    def make_from(self, parent: Running | None, source: str | Path, **fields: Any) -> Running:
        """The same, forked from a template if one is given."""
        spec = self.spec(source, **fields)
        request_read, request_write = os.pipe()
        reply_read, reply_write = os.pipe()
        log_read, log_write = os.pipe()
        try:
            fds = [request_read, reply_write, log_write]
            box = self.maker.create(spec, fds, parent.box if parent is not None else None)
        except BaseException:
            for fd in (request_write, reply_read, log_read):
                os.close(fd)
            raise
        finally:
            for fd in (request_read, reply_write, log_write):
                os.close(fd)
        running = Running(box, Conversation(request_write, reply_read, limit_s=LIMIT_S), log_read)
        self._running.append(running)
        return running

    def start(self, source: str | Path, **fields: Any) -> Running:
        """A box that is ready."""
        running = self.make(source, **fields)
        running.hello()
        return running

    def end_of(self, running: Running) -> Exit:
        """Waits for the end of a box."""
        name = running.box.id
        for _ in self._turns(f"{name} did not end"):
            if name in self.exits:
                return self.exits[name]
        raise AssertionError

    def _turns(self, what: str) -> Iterator[None]:
        """Each time the maker may have something to tell, until the limit."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            self.exits |= {exit_.instance_id: exit_ for exit_ in self.maker.reap()}
            yield
            poller = select.poll()
            for fd in self.maker.fileno():
                poller.register(fd, select.POLLIN)
            poller.poll(max(0.0, deadline - time.monotonic()) * 1000)
        raise TimeoutError(what)

    def __enter__(self) -> Workshop:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for running in self._running:
            running.close()
        self.maker.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def is_alive(pid: int) -> bool:
    """Whether a process of this number runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in (b"Z", b"X")


@contextmanager
def secret_in_environment(name: str, value: str) -> Iterator[None]:
    """A variable that no box may see."""
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
