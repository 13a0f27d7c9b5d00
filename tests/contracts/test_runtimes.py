"""Every runtime keeps the promises of `testing.checks.runtime`, in every kind of box."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from contracts import go_program
from functory.model.instance import InstanceSpec, Program
from functory.runtimes.node import find_node
from functory.sandbox import tiers
from functory.sandbox.base import SandboxMaker
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
}


class _Stocked(NamespaceSandboxes):
    """All that can stand ready does, and is taken."""

    def create(self, spec: InstanceSpec, fds: Sequence[int]) -> NamespaceSandbox:
        self.expect(spec)
        while self.short:
            self.refill()
        stock = len(list(self._ahead))
        box = super().create(spec, fds)
        assert len(list(self._ahead)) == stock - spec.ahead
        return box


def _namespaces() -> SandboxMaker:
    found = tiers.find(interpreter(), f"functory-runtimes-{os.getpid()}")
    if found.tier is None:
        pytest.skip(f"cannot be shown here: {found.why_not}")
    return _Stocked(found.tier, groups=found.groups)


BACK_ENDS: dict[str, Callable[[], SandboxMaker]] = {"process": ProcessSandboxes}
if os.geteuid() == 0:  # an ordinary user's own process would have to enter a namespace first
    BACK_ENDS["namespace"] = _namespaces


@pytest.fixture(scope="module", params=BACK_ENDS)
def workshop(request: pytest.FixtureRequest) -> Iterator[Workshop]:
    """One maker for all: its zygotes stay warm."""
    with Workshop(SafeSandboxes(BACK_ENDS[request.param]())) as workshop:
        yield workshop


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("check", promises.CHECKS, ids=checks.name)
def test_every_runtime_keeps_its_promise(check: promises.Check, subject: str, workshop: Workshop) -> None:
    check(workshop, SUBJECTS[subject]())
