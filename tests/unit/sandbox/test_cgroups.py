"""Control groups as this machine has them: bounds that hold, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from functory.sandbox import cgroupfs, cgroups


@pytest.fixture
def groups() -> Iterator[cgroups.Groups]:
    name = f"functory-test-groups-{os.getpid()}"
    found, why = cgroups.find(name)
    if found is None:
        pytest.skip(f"cannot be shown here: {why}")
    yield found
    found.close()
    left = subprocess.run(["find", "/sys/fs/cgroup", "-name", name], capture_output=True, check=False).stdout
    assert left == b""


def test_a_process_that_was_moved_is_bound_and_its_group_goes_when_it_has_gone(groups: cgroups.Groups) -> None:
    if groups.version != 1:
        pytest.skip("cannot be shown here: processes are born in groups of version 2")
    group = groups.make("one")
    group.limit(64, 4, 0.5)
    with subprocess.Popen(["sleep", "600"]) as process:
        group.move(process.pid)
        with open(f"/proc/{process.pid}/cgroup") as where:
            assert where.read().count(f"functory-test-groups-{os.getpid()}/one") == 5, (
                "memory, processes, processors twice, freezing"
            )
        assert not group.remove()
        process.send_signal(signal.SIGKILL)
    assert group.remove()
    assert group.remove(), "harmless twice"


def test_nobody_was_killed_for_want_of_memory_at_first(groups: cgroups.Groups) -> None:
    group = groups.make("two")
    group.limit(64, 4, 0)
    group.let_run()
    assert group.oom_kills() == 0
    assert group.remove()


def test_a_machine_without_groups_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroupfs, "mounted", lambda kind, option: "/nowhere")
    found, why = cgroups.find("functory-test-none")
    assert found is None
    assert "version 1" in why
    assert "version 2" in why
