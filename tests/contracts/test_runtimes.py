"""Every runtime keeps the promises of `testing.checks.runtime`, in every kind of box."""

from __future__ import annotations

import json
import os
import select
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts import go_program
from functory.model.instance import InstanceSpec, Program
from functory.runtimes.node import find_node
from functory.sandbox import tiers
from functory.sandbox.base import Sandbox, SandboxError, SandboxMaker
from functory.sandbox.namespace import NamespaceSandbox, NamespaceSandboxes
from functory.sandbox.process import ProcessSandboxes
from functory.sandbox.safe import SafeSandboxes
from functory.testing import checks
from functory.testing.checks import runtime as promises
from functory.testing.checks.runtime import Subject
from functory.testing.workshop import Workshop, interpreter

SOURCES = Path(__file__).parent / "subjects"


def _python() -> Subject:
    return Subject(
        name="python",
        files={"index.py": (SOURCES / "index.py").read_bytes()},
        spec={"handler": "index.handler"},
        missing={"handler": "nothing_here.handler"},
    )


def _coroutines() -> Subject:
    return Subject(
        name="python-async",
        files={"index.py": (SOURCES / "coroutines.py").read_bytes()},
        spec={"handler": "index.handler"},
        missing={"handler": "nothing_here.handler"},
    )


def _node() -> Subject:
    found = find_node("", interpreter())
    if found is None:
        pytest.skip("Node.js is not on this machine")
    path, _, _ = found.resolve("nodejs20")
    return Subject(
        name="node",
        files={"index.js": (SOURCES / "index.js").read_bytes()},
        spec={"handler": "index.handler", "argv": (path, "@/node.cjs"), "reserve_mb": 256},
        missing={"handler": "nothing_here.handler"},
    )


def _node_ahead() -> Subject:
    """Where programs can run ahead of need, each instance is made of one that does."""
    node = _node()
    return msgspec.structs.replace(node, name="node-ahead", spec={**node.spec, "ahead": True})


def _custom(program: str, source: str) -> Subject:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not on this machine")
    return Subject(
        name=f"custom-{program}",
        files={source: (SOURCES / source).read_bytes()},
        spec={"program": Program(command=(program, f"/code/{source}")), "reserve_mb": 512},
        missing={"program": Program(command=("/code/nothing_here",))},
    )


def _container() -> Subject:
    """The same server in an image: one layer is the machine's programs and libraries, the other the server."""
    if not Path("/usr/bin/python3").exists():
        pytest.skip("there is no Python in /usr")
    return msgspec.structs.replace(
        _custom("python3", "server.py"),
        name="container",
        files={"server.py": (SOURCES / "server.py").read_bytes(), "etc/hostname": b"image"},
        base=("/usr",),  # as a root, it has /bin and /lib where programs look for them
        spec={"program": Program(command=("env", "PYTHONHOME=/", "python3", "/server.py")), "reserve_mb": 512},
        missing={"program": Program(command=("/nothing_here",))},
    )


def _go() -> Subject:
    return Subject(
        name="go",
        files={"main": go_program.build(SOURCES / "go")},
        programs=("main",),
        spec={
            "handler": "main",
            "program": Program(command=("/code/main",), serves_http=False),
            "reserve_mb": 512,
        },
        missing={"program": Program(command=("/code/nothing_here",), serves_http=False)},
        decode=lambda body: str(json.loads(body)).encode(),
        binary=False,
        streams=False,
    )


SUBJECTS: dict[str, Callable[[], Subject]] = {
    "python": _python,
    "python-async": _coroutines,
    "node": _node,
    "node-ahead": _node_ahead,
    "custom-python": lambda: _custom("python3", "server.py"),
    "custom-node": lambda: _custom("node", "server.js"),
    "go": _go,
    "container": _container,
}


WAIT_MS = 20_000


class _Stocked(NamespaceSandboxes):
    """All that can stand ready does, and is taken."""

    def create(self, spec: InstanceSpec, fds: Sequence[int], parent: Sandbox | None = None) -> NamespaceSandbox:
        self.expect(spec)
        while self.short:
            self.refill()
        stock = len(list(self.stems.ahead))
        box = super().create(spec, fds, parent)
        assert len(list(self.stems.ahead)) == stock - spec.ahead
        return box


class _Copied(NamespaceSandboxes):
    """Every Python function is loaded by a template first, and a copy is taken; without one where loading fails."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._ours: list[int] = []
        self._made: list[NamespaceSandbox] = []

    def create(self, spec: InstanceSpec, fds: Sequence[int], parent: Sandbox | None = None) -> NamespaceSandbox:
        if parent is None and not spec.argv and spec.program is None:
            parent = self._template(spec)
        return super().create(spec, fds, parent)

    def _template(self, spec: InstanceSpec) -> Sandbox:
        requests, replies, log = os.pipe(), os.pipe(), os.pipe()
        wanted = msgspec.structs.replace(spec, instance_id=f"t{spec.instance_id}", template=True)
        box = super().create(wanted, [requests[0], replies[1], log[1]])
        for fd in (requests[0], replies[1], log[1]):
            os.close(fd)
        assert box.template is not None
        poller = select.poll()
        poller.register(box.template.fileno(), select.POLLIN)
        while box.template.alive and not box.template.ready:
            assert poller.poll(WAIT_MS), "a template said nothing"
            box.template.read()
        self._ours += (requests[1], replies[0], log[0])
        self._made.append(box)
        return box

    def close(self) -> None:
        for box in self._made:
            box.destroy()
        super().close()
        for fd in self._ours:
            os.close(fd)
        self._ours.clear()


def _found(make: Callable[..., SandboxMaker]) -> SandboxMaker:
    found = tiers.find(interpreter(), f"functory-runtimes-{os.getpid()}")
    if found.tier is None:
        pytest.skip(f"cannot be shown here: {found.why_not}")
    return make(found.tier, groups=found.groups)


def _namespaces() -> SandboxMaker:
    return _found(_Stocked)


BACK_ENDS: dict[str, Callable[[], SandboxMaker]] = {"process": ProcessSandboxes}
if os.geteuid() == 0:  # an ordinary user's own process would have to enter a namespace first
    BACK_ENDS["namespace"] = _namespaces


@pytest.fixture(scope="module", params=BACK_ENDS)
def workshop(request: pytest.FixtureRequest) -> Iterator[Workshop]:
    """One maker for all: its zygotes stay warm."""
    with Workshop(SafeSandboxes(BACK_ENDS[request.param]())) as workshop:
        yield workshop


@pytest.fixture(scope="module")
def copying() -> Iterator[Workshop]:
    """Whose instances are copies of templates."""
    if os.geteuid() != 0:
        pytest.skip("cannot be shown here: an ordinary user's own process would have to enter a namespace first")
    with Workshop(SafeSandboxes(_found(_Copied))) as workshop:
        yield workshop


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("check", promises.CHECKS, ids=checks.name)
def test_every_runtime_keeps_its_promise(check: promises.Check, subject: str, workshop: Workshop) -> None:
    made = SUBJECTS[subject]()
    if made.base and not workshop.boxed:
        with pytest.raises(SandboxError, match="namespaces"):
            made.make(workshop)
        return
    check(workshop, made)


@pytest.mark.parametrize("check", promises.CHECKS, ids=checks.name)
def test_copies_of_a_template_keep_the_promises_of_their_runtime(check: promises.Check, copying: Workshop) -> None:
    check(copying, _python())
