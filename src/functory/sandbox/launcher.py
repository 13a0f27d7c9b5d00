"""Starts one zygote inside a box of its own: `python -I -S -X utf8 launcher.py PLAN`.

    launcher ──clone3──→ reaper, pid 1 ──fork──→ zygote, pid 2 ──clone3──→ instances, each with a pid 1 of its own

The launcher stays outside: it opens what the root is made of, maps the users, and waits. When any of the three ends,
the kernel ends all that is below. PLAN is JSON: `{"bootstrap", "sandbox": folders, "uid_map": "inside outside count",
"uid": the user inside that the zygote becomes, or -1, "preload": [module, …]}`. The control socket is descriptor 3,
descriptor 5 is kept open as long as any of them lives.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CONTROL, _LIFELINE = 3, 5


def _load(name: str, folders: list[str]) -> Any:
    """A module of the package `_functory`, looked for in `folders`."""
    package = sys.modules.get("_functory")
    if package is None:
        package = sys.modules["_functory"] = type(sys)("_functory")
    package.__path__ = folders
    return __import__("_functory." + name, fromlist=["main"])


def _map_users(pid: int, uid_map: str, *, deny_groups: bool) -> None:
    if deny_groups:
        _write(f"/proc/{pid}/setgroups", "deny")
    _write(f"/proc/{pid}/uid_map", uid_map)
    _write(f"/proc/{pid}/gid_map", uid_map)


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def _enter(plan: dict[str, Any], skeleton: Any, go: int) -> None:
    """The new pid 1, in new namespaces: waits for its users, builds the root, becomes the zygote's user."""
    syscalls, confine = sys.modules["_functory.syscalls"], _load("confine", [plan["sandbox"]])
    if os.read(go, 1) != b"!":
        os._exit(1)
    os.close(go)
    if plan["uid"] >= 0:
        os.setresgid(plan["uid"], plan["uid"], plan["uid"])
        os.setresuid(plan["uid"], plan["uid"], plan["uid"])
        os.setgroups([])
    syscalls.be_dumpable(True)
    confine.die_with_parent(0)  # the launcher is in another namespace: its number cannot be seen
    skeleton.build()


def _reap_until(zygote: int) -> int:
    """Buries all that falls to pid 1, until the zygote ends."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == zygote:
            return os.waitstatus_to_exitcode(status)


def _first(plan: dict[str, Any], skeleton: Any, go: int) -> None:
    """Pid 1's life."""
    status = 1
    try:
        _enter(plan, skeleton, go)
        zygote = os.fork()
        if zygote == 0:
            _be_zygote(plan)
            status = 0
            return
        os.close(_CONTROL)
        status = 0 if _reap_until(zygote) == 0 else 1
    except Exception as failure:
        sys.stderr.write(f"functory launcher: the box cannot be built: {type(failure).__name__}: {failure}\n")
        sys.stderr.flush()
    finally:
        os._exit(status)


def _be_zygote(plan: dict[str, Any]) -> None:
    own = "/run/functory"
    folders = [f"{own}/bootstrap", f"{own}/sandbox"]
    for name in plan["preload"]:
        __import__(name)
    if plan["preload"]:  # for functions that run requests side by side, and for programs of their own
        _load("coroutines", folders), _load("threads", folders)
        _load("custom", folders), _load("container", folders)
    cells, confine = _load("cells", folders), _load("confine", folders)
    runtime = _load("runtime", folders).Runtime(confine.REQUEST_FD, confine.REPLY_FD)
    cells.main(_CONTROL, runtime, fixed_user=plan["uid"] < 0)


def main(plan: dict[str, Any]) -> int:
    """Runs until the zygote has ended; its exit code."""
    folders = [plan["sandbox"]]
    syscalls, skeletons, init = (_load(name, folders) for name in ("syscalls", "skeleton", "init"))
    confine = _load("confine", folders)
    confine.hold_signals()
    confine.name_process("functory-box")
    for fd in (_CONTROL, _LIFELINE):
        with contextlib.suppress(OSError):
            os.set_inheritable(fd, False)
    wait, go = os.pipe()
    try:
        skeleton = skeletons.Skeleton({"bootstrap": plan["bootstrap"], "sandbox": plan["sandbox"]})
        if init.program():
            skeleton.add_file(init.PLACE, init.program())
        everything = syscalls.NEWUSER | syscalls.NEWNS | syscalls.NEWPID | syscalls.NEWIPC | syscalls.NEWUTS
        pid, _ = syscalls.clone3(everything)
        if pid == 0:
            os.close(go)
            _first(plan, skeleton, wait)
        os.close(_CONTROL)
        os.close(wait)
        _map_users(pid, plan["uid_map"], deny_groups=plan["uid"] < 0)
        os.write(go, b"!")
    except OSError as failure:
        sys.stderr.write(f"functory launcher: {failure}\n")
        return 1
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
