"""Every sandbox keeps the promises of `sandbox.base`, and the safe shell those that back ends need not keep."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence

import pytest

from functory.model.instance import Exit, GroupFiles, InstanceSpec
from functory.sandbox import tiers
from functory.sandbox.base import Sandbox, SandboxError, SandboxMaker
from functory.sandbox.namespace import NamespaceSandboxes
from functory.sandbox.process import FIRST_UID, ProcessSandboxes
from functory.sandbox.safe import SafeSandboxes
from functory.testing import checks
from functory.testing.checks import sandbox as promises
from functory.testing.workshop import Workshop, interpreter


def _namespaces() -> SandboxMaker:
    found = tiers.find(interpreter(), f"functory-test-{os.getpid()}-{next(_numbers)}")
    if found.tier is None:
        pytest.skip(f"cannot be shown here: {found.why_not}")
    return NamespaceSandboxes(found.tier, groups=found.groups)


_numbers = itertools.count(1)
BACK_ENDS: dict[str, Callable[[], SandboxMaker]] = {"process": ProcessSandboxes}
if os.geteuid() == 0:  # an ordinary user's own process would have to enter a namespace: test_containment.py does that
    BACK_ENDS["namespace"] = _namespaces


@pytest.mark.parametrize("back_end", BACK_ENDS)
@pytest.mark.parametrize("check", promises.CHECKS, ids=checks.name)
def test_every_sandbox_keeps_its_promise(check: promises.Check, back_end: str) -> None:
    with Workshop(SafeSandboxes(BACK_ENDS[back_end]())) as workshop:
        check(workshop)


@pytest.mark.skipif(os.geteuid() != 0, reason="cannot be shown here: only root can give instances users of their own")
def test_plain_processes_of_root_run_as_a_user_of_their_own_where_that_can_read_the_code() -> None:
    source = "import os\ndef handler(event, context): return f'{os.getuid()} {os.getgid()} {os.getgroups()}'"
    with Workshop(SafeSandboxes(ProcessSandboxes())) as workshop:
        first, second = workshop.start(source), workshop.start(source)
        users = [running.talk.call(b"").body.decode().split(" ", 2) for running in (first, second)]
        assert all(int(uid) >= FIRST_UID and uid == gid and groups == "[]" for uid, gid, groups in users)
        assert users[0] != users[1]
        closed = workshop.code(source)
        closed.chmod(0o700)
        assert workshop.start(closed).talk.call(b"").body == b"0 0 []"


@pytest.mark.skipif(os.geteuid() != 0, reason="cannot be shown here: only root can give instances users of their own")
def test_the_tier_says_which_folder_keeps_functions_on_the_nodes_user() -> None:
    with Workshop(ProcessSandboxes()) as open_to_all:
        assert not any("Users" in sentence for sentence in open_to_all.maker.tier.missing)
        open_to_all.folder.chmod(0o700)
        with Workshop(ProcessSandboxes(read_by_functions=[str(open_to_all.folder)])) as workshop:
            assert any(str(open_to_all.folder) in sentence for sentence in workshop.maker.tier.missing)
            assert workshop.maker.tier.name == "D"


class _Brittle:
    """A back end whose boxes fail at the first touch."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    tier = ProcessSandboxes.tier

    def create(self, spec: InstanceSpec, fds: Sequence[int], parent: Sandbox | None = None) -> Sandbox:
        if spec.handler == "odd.error":
            raise ZeroDivisionError("odd")
        return _BrittleBox(spec.instance_id, self.calls)

    def fileno(self) -> Sequence[int]:
        return ()

    def reap(self) -> Sequence[Exit]:
        return ()

    def close(self) -> None:
        self.calls.append("close")


class _BrittleBox:
    gauges = None

    pid = 1
    files = GroupFiles()

    def __init__(self, name: str, calls: list[str]) -> None:
        self.id = name
        self.calls = calls

    def relayed(self) -> Sequence[int]:
        return ()

    def kill(self) -> None:
        raise OSError("kill failed")

    def poll(self) -> Exit | None:
        raise OSError("poll failed")

    def destroy(self) -> None:
        self.calls.append("destroy")


def _spec(name: str, handler: str = "a.b") -> InstanceSpec:
    return InstanceSpec(instance_id=name, runtime="x", handler=handler, code_dir="/", environment={}, memory_mb=128)


def test_a_box_is_destroyed_at_its_first_error_and_told_once() -> None:
    back_end = _Brittle()
    heard: list[tuple[str, str]] = []
    maker = SafeSandboxes(back_end, [lambda what, box: heard.append((what, box.id))])
    by_kill, by_poll = maker.create(_spec("c-1"), []), maker.create(_spec("c-2"), [])
    by_kill.kill()
    assert by_poll.poll() == Exit(instance_id="c-2", signal=9, killed=True)
    assert back_end.calls == ["destroy", "destroy"]
    assert heard == [("create", "c-1"), ("create", "c-2"), ("destroy", "c-1"), ("destroy", "c-2")]
    assert [end.instance_id for end in maker.reap()] == ["c-1", "c-2"]
    assert not maker.reap()
    assert maker.get("c-1") is None


def test_any_error_of_a_back_end_is_a_sandbox_error() -> None:
    maker = SafeSandboxes(_Brittle())
    with pytest.raises(SandboxError, match="odd"):
        maker.create(_spec("c-1", "odd.error"), [])


def test_listeners_hear_of_boxes_that_were_alive_at_the_end() -> None:
    heard: list[tuple[str, str]] = []
    maker = SafeSandboxes(_Brittle(), [lambda what, box: heard.append((what, box.id))])
    maker.create(_spec("c-1"), [])
    maker.close()
    maker.close()
    assert heard == [("create", "c-1"), ("destroy", "c-1")]
    assert [end.instance_id for end in maker.reap()] == ["c-1"]
