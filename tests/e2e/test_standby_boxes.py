"""Frozen boxes and their ends, below the node: by each kind of freezer, killed, destroyed, orphaned, closed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from functory.sandbox import cgroupfs, cgroups, freezer, tiers, tree
from functory.sandbox.namespace import NamespaceSandboxes
from functory.sandbox.safe import SafeSandboxes
from functory.testing.workshop import Running, Workshop, interpreter, is_alive

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="cannot be shown here: only root has groups of version 1")
SPIN = "import threading\ndef handler(event, context):\n    threading.Thread(target=spin, daemon=True).start()\n    return event\ndef spin():\n    while True: pass\n"  # noqa: E501


@pytest.fixture(params=["version 2", "version 1", "none"])
def workshop(request: pytest.FixtureRequest) -> Iterator[Workshop]:
    name = f"functory-{os.getpid()}"
    found = tiers.find(interpreter(), name)
    if found.tier is None:
        pytest.skip(f"cannot be shown here: {found.why_not}")
    groups: cgroups.Groups | None = found.groups
    if request.param != "version 2" and groups is not None:
        groups.close()
        groups = None
    if request.param == "version 1":
        try:
            groups = cgroups.Groups1(name, "1")
        except (OSError, ValueError) as failure:
            pytest.skip(f"cannot be shown here: {failure}")
    with Workshop(SafeSandboxes(NamespaceSandboxes(found.tier, groups=groups))) as made:
        yield made
    assert not os.path.isdir(f"/sys/fs/cgroup/unified/{name}")


def frozen(workshop: Workshop) -> tuple[Running, freezer.Freezer]:
    running = workshop.start(SPIN)
    assert running.talk.call(b"x").body == b"x"
    holder = freezer.of(running.box.pid, running.box.files)
    assert holder.freeze()
    return running, holder


def test_a_frozen_box_is_killed_like_another(workshop: Workshop) -> None:
    running, holder = frozen(workshop)
    pid = running.box.pid
    running.box.kill()
    assert workshop.end_of(running).killed
    assert not is_alive(pid)
    holder.thaw()
    holder.close()


def test_a_frozen_box_is_destroyed_at_once(workshop: Workshop) -> None:
    running, holder = frozen(workshop)
    pid = running.box.pid
    running.box.destroy()
    assert not is_alive(pid)
    holder.close()


def test_frozen_boxes_die_with_their_zygote(workshop: Workshop) -> None:
    running, holder = frozen(workshop)
    pid = running.box.pid
    os.kill(tree.parent(pid), signal.SIGKILL)
    assert workshop.end_of(running).signal == signal.SIGKILL
    assert not is_alive(pid)
    assert workshop.start(SPIN).talk.call(b"again").body == b"again"
    holder.close()


def test_closing_the_maker_ends_frozen_boxes(workshop: Workshop) -> None:
    running, holder = frozen(workshop)
    pid = running.box.pid
    workshop.maker.close()
    assert not is_alive(pid)
    holder.close()


def test_which_file_freezes_a_box_is_known(workshop: Workshop, request: pytest.FixtureRequest) -> None:
    running, holder = frozen(workshop)
    kind = request.node.callspec.params["workshop"]
    ends = {"version 2": cgroupfs.FREEZER_2, "version 1": cgroupfs.FREEZER_1, "none": ""}
    assert running.box.files.freeze.endswith(ends[kind])
    assert isinstance(holder, freezer.StopFreezer) == (kind == "none")
    holder.thaw()
    assert running.talk.call(b"y").body == b"y"
    holder.close()
