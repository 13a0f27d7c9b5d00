"""What every sandbox promises (`sandbox.base`), each wrapped in its safe shell.

Checks are plain functions: they are given a workshop whose maker is fresh, and leave it to be closed.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import msgspec

from functory.model.instance import Exit
from functory.runtimes import wire
from functory.sandbox.base import Sandbox, SandboxError
from functory.testing.conversation import Ended
from functory.testing.workshop import Running, Workshop, is_alive, secret_in_environment

Check: TypeAlias = Callable[[Workshop], None]

_TREE = """
    import os, signal, time
    pids = []
    def grow(depth):
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            if depth % 2:
                os.setsid()
            if depth:
                grow(depth - 1)
            while True:
                signal.pause()
        return pid
    def handler(event, context):
        read, write = os.pipe()
        for _ in range(3):
            if os.fork() == 0:
                grow(3)          # its parent ends at once: the rest is orphaned
                os._exit(0)
            os.wait()
        grow(4)
        return "grown"
"""


def _ask(running: Running, event: bytes = b"") -> dict[str, object]:
    answer = running.talk.call(event)
    assert answer.type is wire.Type.RESP, answer.body
    return msgspec.json.decode(answer.body, type=dict[str, object])


_FINDS = """
    import os, shutil, subprocess
    def handler(event, context):
        own = os.environ.get("CONFIG")
        return {
            "tool": subprocess.run(["tool"], capture_output=True, text=True).stdout.strip(),
            "second": subprocess.run(["only-second"], capture_output=True, text=True).stdout.strip(),
            "libraries": [name for place in os.environ["LD_LIBRARY_PATH"].split(":") for name in os.listdir(place)],
            "extra": [os.path.exists(os.path.join(place, "x")) for place in os.environ["EXTRA_PATH"].split(":")],
            "config": open(own).read(),
            "sh": shutil.which("sh") is not None,
        }
"""


def layers_bring_programs_and_libraries_and_the_first_wins(workshop: Workshop) -> None:
    layers = [workshop.code("", f"layer{number}.py") for number in (1, 2)]
    for number, layer in enumerate(layers, 1):
        for folder in ("bin", "lib", "extra"):
            (layer / folder).mkdir()
        names = ["tool"] if number == 1 else ["tool", "only-second"]
        for name in names:
            (layer / "bin" / name).write_text(f"#!/bin/sh\necho {name} of {number}\n")
            (layer / "bin" / name).chmod(0o755)
        (layer / "lib" / f"lib{number}.so").write_text("")
    (layers[1] / "extra" / "x").write_text("")
    (layers[1] / "config.txt").write_text("of 2")
    running = workshop.start(
        _FINDS,
        layer_dirs=tuple(map(str, layers)),
        environment={"EXTRA_PATH": "/opt/extra", "CONFIG": "/opt/config.txt"},
    )
    told = _ask(running)
    assert (told["tool"], told["second"]) == ("tool of 1", "only-second of 2")
    assert sorted(told["libraries"]) == ["lib1.so", "lib2.so"]  # type: ignore[call-overload]
    assert any(told["extra"])  # type: ignore[arg-type]
    assert (told["config"], told["sh"]) == ("of 2", True)


def _refusal(workshop: Workshop, **fields: str) -> str:
    """Why no box is made."""
    try:
        workshop.make("", **fields)
    except SandboxError as failure:
        return str(failure)
    raise AssertionError(f"a box was made with {fields}")


def descendants(pid: int) -> set[int]:
    """All processes below `pid`, by its session-independent parent links."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_bytes().rpartition(b")")[2].split()[1])
            except (OSError, IndexError):
                continue
    found = {pid}
    while news := {child for child, parent in parents.items() if parent in found} - found:
        found |= news
    return found - {pid}


def members(pid: int) -> set[int]:
    """All other processes of the box whose main process is `pid`."""
    space = os.readlink(f"/proc/{pid}/ns/pid")
    if space == os.readlink("/proc/self/ns/pid"):
        return descendants(pid)
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "ns/pid") == space:
                found.add(int(entry.name))
        except OSError:
            continue  # it has just ended
    return found - {pid}


def a_box_runs_its_code_and_is_known_by_its_process(workshop: Workshop) -> None:
    running = workshop.start("import os\ndef handler(event, context): return {'pid': os.getpid()}")
    status = Path(f"/proc/{running.box.pid}/status").read_text()
    numbers = status.partition("NSpid:")[2].partition("\n")[0].split()
    assert _ask(running)["pid"] == int(numbers[-1]), "a box that has its own numbers gives it another one"
    assert running.box.poll() is None


def boxes_of_one_maker_do_not_share_memory(workshop: Workshop) -> None:
    code = workshop.code("seen = []\ndef handler(event, context): seen.append(1); return {'n': len(seen)}")
    first, second = workshop.start(code), workshop.start(code)
    assert [_ask(first)["n"], _ask(first)["n"], _ask(second)["n"]] == [1, 2, 1]


def a_killed_box_takes_its_whole_tree_along(workshop: Workshop) -> None:
    running = workshop.start(_TREE)
    running.talk.call(b"")
    tree = members(running.box.pid)
    assert len(tree) >= 5
    running.box.kill()
    exit_ = workshop.end_of(running)
    assert (exit_.signal, exit_.killed) == (signal.SIGKILL, True)
    assert not [pid for pid in tree if is_alive(pid)]


def the_end_of_the_main_process_is_the_end_of_the_tree(workshop: Workshop) -> None:
    running = workshop.start(
        _TREE.replace("def handler(event, context):", "def handler(event, context):\n        if event: os._exit(7)")
    )
    running.talk.call(b"")
    tree = members(running.box.pid)
    running.talk.send(b"now")
    exit_ = workshop.end_of(running)
    assert (exit_.code, exit_.signal, exit_.killed) == (7, 0, False)
    assert len(tree) >= 5
    assert not [pid for pid in tree if is_alive(pid)]


def a_kill_is_quick_and_does_not_need_the_box_to_agree(workshop: Workshop) -> None:
    running = workshop.start("import time\ndef handler(event, context):\n while True: time.sleep(99)")
    running.talk.send(b"")
    os.kill(running.box.pid, signal.SIGSTOP)
    began = time.monotonic()
    running.box.kill()
    workshop.end_of(running)
    assert time.monotonic() - began < 2, "the promise is 50 ms of processor time; this bound is for a loaded machine"


def every_end_is_told_once_with_its_reason(workshop: Workshop) -> None:
    source = "import os\ndef handler(event, context): os.kill(os.getpid(), int(event)) if event else os._exit(3)"
    killed, left = workshop.start(source), workshop.start(source)
    killed.talk.send(b"%d" % signal.SIGSEGV)
    left.talk.send(b"")
    ends = [workshop.end_of(killed), workshop.end_of(left)]
    assert [(end.code, end.signal, end.killed) for end in ends] == [(0, signal.SIGSEGV, False), (3, 0, False)]
    assert killed.box.poll() == ends[0]
    assert not workshop.maker.reap()


def after_destroy_every_call_is_harmless(workshop: Workshop) -> None:
    running = workshop.start("def handler(event, context): return event")
    pid = running.box.pid
    running.box.destroy()
    running.box.destroy()
    running.box.kill()
    assert running.box.pid == 0
    assert running.box.poll() == Exit(instance_id=running.box.id, signal=signal.SIGKILL, killed=True)
    assert not is_alive(pid)
    assert [end.instance_id for end in workshop.maker.reap()] == [running.box.id]


def only_its_own_descriptors_are_open(workshop: Workshop) -> None:
    others = [workshop.start("def handler(event, context): return event") for _ in range(2)]
    running = workshop.start(
        """
        import os
        def handler(event, context):
            found = {}
            for fd in map(int, os.listdir("/proc/self/fd")):
                try:
                    found[str(fd)] = os.readlink(f"/proc/self/fd/{fd}").partition(":")[0]
                except OSError:
                    pass  # the listing's own
            return found
        """
    )
    assert _ask(running) == {"0": "/dev/null", "1": "pipe", "2": "pipe", "3": "pipe", "4": "pipe"}
    # And nobody else holds them: the end of a box is the end of its pipes.
    others[0].box.kill()
    try:
        others[0].talk.read()
        raise AssertionError("somebody holds the reply pipe of a box that is gone")
    except Ended:
        pass


def nothing_of_the_makers_environment_is_inherited(workshop: Workshop) -> None:
    with secret_in_environment("FUNCTORY_CHECK_SECRET", "s3cret"):
        running = workshop.start(
            """
            import os
            def handler(event, context):
                return {"names": sorted(os.environ), "raw": open("/proc/self/environ").read(), "given": os.environ["A"]}
            """,
            environment={"A": "1"},
        )
    found = _ask(running)
    assert set(found["names"]) <= {"A", "HOME", "LC_CTYPE", "PATH", "TMPDIR"}  # type: ignore[call-overload]
    assert "s3cret" not in str(found["raw"])
    assert found["given"] == "1"


def temporary_files_are_private_and_go_with_the_box(workshop: Workshop) -> None:
    running = workshop.start(
        """
        import os, tempfile
        def handler(event, context):
            path = tempfile.mkdtemp()
            open(path + "/file", "w").write("x")
            return {"path": path, "mode": oct(os.stat(os.environ["TMPDIR"]).st_mode & 0o777)}
        """
    )
    found = _ask(running)
    path = Path(str(found["path"]))
    assert found["mode"] == "0o700"
    running.box.kill()
    workshop.end_of(running)
    workshop.maker.close()
    assert not path.exists()


def memory_is_bounded(workshop: Workshop) -> None:
    running = workshop.start("def handler(event, context): return str(len(bytearray(int(event) << 20)))", memory_mb=128)
    assert running.talk.call(b"64").body == str(64 << 20).encode()
    answer = running.talk.call(b"1024")
    assert (answer.type, answer.aux) == (wire.Type.ERROR, wire.ErrorCode.MEMORY)


def a_box_that_cannot_be_made_says_why_and_leaves_nothing(workshop: Workshop) -> None:
    for fields, word in (
        ({"code_dir": "/nowhere/at/all"}, "/nowhere/at/all"),
        ({"runtime": "/bin/nopython"}, "nopython"),
    ):
        assert word in _refusal(workshop, **fields)
    running = workshop.start("def handler(event, context): return event")
    assert running.box.id in _refusal(workshop, instance_id=running.box.id)


def close_ends_everything(workshop: Workshop) -> None:
    before = descendants(os.getpid())
    boxes: list[Sandbox] = [workshop.start(_TREE).box for _ in range(2)]
    pids = [box.pid for box in boxes]
    workshop.maker.close()
    workshop.maker.close()
    assert not [pid for pid in pids if is_alive(pid)]
    assert descendants(os.getpid()) <= before
    assert {end.instance_id for end in workshop.maker.reap()} == {box.id for box in boxes}
    assert "closed" in _refusal(workshop)


CHECKS: list[Check] = [
    a_box_runs_its_code_and_is_known_by_its_process,
    boxes_of_one_maker_do_not_share_memory,
    a_killed_box_takes_its_whole_tree_along,
    the_end_of_the_main_process_is_the_end_of_the_tree,
    a_kill_is_quick_and_does_not_need_the_box_to_agree,
    every_end_is_told_once_with_its_reason,
    after_destroy_every_call_is_harmless,
    only_its_own_descriptors_are_open,
    nothing_of_the_makers_environment_is_inherited,
    temporary_files_are_private_and_go_with_the_box,
    memory_is_bounded,
    layers_bring_programs_and_libraries_and_the_first_wins,
    a_box_that_cannot_be_made_says_why_and_leaves_nothing,
    close_ends_everything,
]
