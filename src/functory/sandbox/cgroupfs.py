"""The file system of control groups: where ours are, reading, writing, removing, and what dead makers left behind."""

from __future__ import annotations

import contextlib
import os

FREEZER_1, FREEZER_2 = "freezer.state", "cgroup.freeze"
"""The file that freezes a group of version 1, 2."""
FROZEN_1, THAWED_1 = "FROZEN", "THAWED"


def write(path: str, value: object) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, str(value).encode())
    finally:
        os.close(fd)


def read(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()


def counter(text: str, name: str) -> int:
    for line in text.splitlines():
        found, _, value = line.partition(" ")
        if found == name:
            return int(value)
    return 0


def own(controller: str) -> str:
    """The path of our own group in a hierarchy; empty controller = version 2."""
    for line in read("/proc/self/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            return path
    raise ValueError(f"there is no hierarchy for {controller or 'version 2'}")


def mounted(kind: str, option: str) -> str:
    for line in read("/proc/self/mounts").splitlines():
        _, place, found, options, *_ = line.split(" ")
        if found == kind and (not option or option in options.split(",")):
            return place
    raise ValueError(f"{option or kind} is not mounted")


def remove(path: str) -> bool:
    try:
        os.rmdir(path)
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return True


def remove_all(parent: str) -> None:
    """A folder of groups with what is in it, as far as it goes."""
    with contextlib.suppress(OSError):
        for name in os.listdir(parent):
            if os.path.isdir(os.path.join(parent, name)):
                remove(os.path.join(parent, name))
    remove(parent)


def remove_stale(own: str) -> None:
    """Groups of makers that were killed before they could clean up: each bears its maker's process in its name."""
    for name in os.listdir(own):
        maker = name.removeprefix("functory-")
        if maker != name and maker.isdigit() and not os.path.exists(f"/proc/{maker}"):
            thaw_all(os.path.join(own, name))
            remove_all(os.path.join(own, name))


def thaw_all(parent: str) -> None:
    """What is frozen by version 1 does not die until it is thawed, whoever has killed it."""
    for folder, _, files in os.walk(parent):
        if FREEZER_1 in files:
            with contextlib.suppress(OSError):
                write(f"{folder}/{FREEZER_1}", THAWED_1)


def has(controller: str) -> bool:
    try:
        return bool(own(controller) and mounted("cgroup", controller))
    except ValueError:
        return False
