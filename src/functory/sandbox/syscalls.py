"""The kernel's calls that Python does not know: processes in namespaces, mounts, capabilities, landlock, seccomp.

One function per call, named after it; each raises OSError with the call's name. Runs in the spawner, in launchers,
zygotes and instances, loaded by path under the interpreter of the functions: the standard library only.
"""

from __future__ import annotations

import ctypes
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MACHINE = os.uname().machine
_SAME = {  # the same on all architectures
    "open_tree": 428,
    "move_mount": 429,
    "clone3": 435,
    "close_range": 436,
    "mount_setattr": 442,
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
}
_BY_MACHINE = {
    "x86_64": {"pivot_root": 155, "setns": 308, "unshare": 272, "capset": 126, "seccomp": 317},
    "aarch64": {"pivot_root": 41, "setns": 268, "unshare": 97, "capset": 91, "seccomp": 277},
}
_NUMBERS = {**_SAME, **_BY_MACHINE.get(MACHINE, {})}
KNOWN_MACHINE = MACHINE in _BY_MACHINE
"""Whether the numbers are known here at all."""

NEWNS, NEWCGROUP, NEWUTS, NEWIPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000
_CLONE_PIDFD, _CLONE_CHILD_CLEARTID, _CLONE_CHILD_SETTID = 0x1000, 0x200000, 0x1000000
_CLONE_INTO_CGROUP = 0x200000000
_SIGCHLD = 17

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096
MS_REC, MS_PRIVATE = 16384, 1 << 18
MNT_DETACH = 2
_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000
_OPEN_TREE_CLONE, _OPEN_TREE_CLOEXEC = 1, os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH = 4
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV = 1, 2, 4

_PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_GET_TID_ADDRESS = 4, 24, 40
_CAPS = 64
_CAPABILITY_VERSION = 0x20080522
_SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_SPEC_ALLOW = 1, 4
_LANDLOCK_VERSION = 1
SCOPE_ABSTRACT_SOCKET, SCOPE_SIGNAL = 1, 2

# Not CDLL: the interpreter's lock stays held, or a forked child would have to win it from nobody.
_libc = ctypes.PyDLL(None, use_errno=True)
_syscall = _libc["syscall"]
_syscall.restype = ctypes.c_long
_mount = _libc["mount"]
_mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]
_umount2 = _libc["umount2"]
_prctl = _libc["prctl"]
_prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong]


def _failed(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")


def _call(name: str, *arguments: Any) -> int:
    number = _NUMBERS.get(name)
    if number is None:
        raise OSError(38, f"{name}: its number is not known for {MACHINE}")
    result = int(_syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        raise _failed(name)
    return result


def _long(value: int) -> ctypes.c_long:
    return ctypes.c_long(value)


# --- processes ----------------------------------------------------------------------------------------------------


def _find_tid_address() -> int:
    """Where the C library keeps this thread's number: a child's must be written there by the kernel."""
    address = ctypes.c_void_p()
    if _prctl(_PR_GET_TID_ADDRESS, ctypes.addressof(address), 0, 0, 0) != 0:
        return 0  # a kernel without checkpoint support: only pthread's own idea of the number is stale
    return address.value or 0


_tid_address = _find_tid_address()
_python = ctypes.pythonapi
_pidfd = ctypes.c_int(-1)


class _CloneArguments(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            "flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls", "set_tid",
            "set_tid_size", "cgroup",
        )
    ]  # fmt: skip


_arguments = _CloneArguments()
_arguments_size = ctypes.c_size_t(ctypes.sizeof(_arguments))
_arguments_at = ctypes.byref(_arguments)


def clone3(flags: int, cgroup_fd: int = -1) -> tuple[int, int]:
    """`os.fork` with namespaces: `(pid, pidfd)` in the parent, `(0, -1)` in the child.

    `cgroup_fd`: the version 2 group that the child is born in. Python's own hooks run around it, as with `os.fork`.
    """
    _arguments.flags = flags | _CLONE_PIDFD
    _arguments.pidfd = ctypes.addressof(_pidfd)
    _arguments.exit_signal = _SIGCHLD
    if _tid_address:
        _arguments.flags |= _CLONE_CHILD_SETTID | _CLONE_CHILD_CLEARTID
        _arguments.child_tid = _tid_address
    if cgroup_fd >= 0:
        _arguments.flags |= _CLONE_INTO_CGROUP
        _arguments.cgroup = cgroup_fd
    _python.PyOS_BeforeFork()
    pid = int(_syscall(_long(_NUMBERS["clone3"]), _arguments_at, _arguments_size))
    if pid == 0:
        _python.PyOS_AfterFork_Child()
        return 0, -1
    number = ctypes.get_errno()
    _python.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(number, f"clone3: {os.strerror(number)}")
    return pid, _pidfd.value


def unshare(flags: int) -> None:
    """Leaves namespaces for new ones."""
    _call("unshare", _long(flags))


def setns(fd: int, flags: int) -> None:
    """Enters the namespaces of `fd`: one namespace's file, or a pidfd."""
    _call("setns", _long(fd), _long(flags))


# --- mounts -------------------------------------------------------------------------------------------------------


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """The old call, for new file systems and changes of propagation."""
    if _mount(source.encode(), target.encode(), kind.encode() or None, flags, data.encode() or None) != 0:
        raise _failed(f"mount {kind or source} on {target}")


def umount(target: str) -> None:
    """Takes a mount out of sight; it is gone when its last user is."""
    if _umount2(target.encode(), MNT_DETACH) != 0:
        raise _failed(f"umount {target}")


def pivot_root(new: str, old: str) -> None:
    """`new` becomes the root; the old one goes to `old`."""
    _call("pivot_root", ctypes.c_char_p(new.encode()), ctypes.c_char_p(old.encode()))


def open_tree(path: str, attributes: int = 0, *, recursive: bool = True) -> int:
    """A detached copy of the mount at `path` with `attributes` set, as a descriptor for `move_mount`."""
    depth = _AT_RECURSIVE if recursive else 0
    try:
        fd = _call(
            "open_tree",
            _long(_AT_FDCWD),
            ctypes.c_char_p(os.fsencode(path)),
            _long(_OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | depth),
        )
    except OSError as failure:
        raise OSError(failure.errno, f"{path}: {os.strerror(failure.errno or 0)}") from failure
    if attributes:
        request = ctypes.create_string_buffer(struct.pack("QQQQ", attributes, 0, 0, 0))
        size = ctypes.c_size_t(32)
        try:
            _call("mount_setattr", _long(fd), b"", _long(_AT_EMPTY_PATH | depth), request, size)
        except OSError:
            os.close(fd)
            raise
    return fd


def move_mount(fd: int, target: str) -> None:
    """Puts a detached mount at `target`."""
    _call("move_mount", _long(fd), b"", _long(_AT_FDCWD), os.fsencode(target), _long(_MOVE_MOUNT_F_EMPTY_PATH))


# --- privileges ---------------------------------------------------------------------------------------------------


def be_dumpable(yes: bool) -> None:
    """Whether processes of the same user may look into this one; its files in /proc belong to it then."""
    if _prctl(_PR_SET_DUMPABLE, int(yes), 0, 0, 0) != 0:
        raise _failed("prctl dumpable")


def drop_bounding_set() -> None:
    """No program that is started from here on gets a capability. Inherited."""
    for number in range(_CAPS):
        if _prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) != 0:
            return  # beyond the last one that this kernel has


_no_caps_head = ctypes.create_string_buffer(struct.pack("Ii", _CAPABILITY_VERSION, 0))
_no_caps = ctypes.create_string_buffer(24)


_CAP_SYS_ADMIN = 21
_one_cap = ctypes.create_string_buffer(struct.pack("6I", 1 << _CAP_SYS_ADMIN, 1 << _CAP_SYS_ADMIN, 0, 0, 0, 0), 24)


def keep_one_capability() -> None:
    """This process may make namespaces and mounts in its own user namespace from here on, and nothing else."""
    _call("capset", _no_caps_head, _one_cap)


def drop_capabilities() -> None:
    """This process has none from here on."""
    _call("capset", _no_caps_head, _no_caps)


def landlock_version() -> int:
    """The version of the kernel's landlock, 0 if there is none."""
    try:
        return _call("landlock_create_ruleset", None, ctypes.c_size_t(0), _long(_LANDLOCK_VERSION))
    except OSError:
        return 0


def landlock_scopes() -> int:
    """Rules under which abstract sockets and signals do not leave the domain, as a descriptor; -1 before version 6."""
    if landlock_version() < 6:
        return -1
    rules = ctypes.create_string_buffer(struct.pack("QQQ", 0, 0, SCOPE_ABSTRACT_SOCKET | SCOPE_SIGNAL))
    return _call("landlock_create_ruleset", rules, ctypes.c_size_t(24), _long(0))


def landlock_rules(access: int, scopes: int) -> int:
    """A set of rules, as a descriptor: of `access` to files nothing is allowed but what `landlock_allow` says."""
    size = 24 if scopes else 8
    rules = ctypes.create_string_buffer(struct.pack("QQQ", access, 0, scopes))
    return _call("landlock_create_ruleset", rules, ctypes.c_size_t(size), _long(0))


def landlock_allow(fd: int, path_fd: int, access: int) -> None:
    """Allows `access` to a folder and all below it, or to a file."""
    below = 1
    rule = ctypes.create_string_buffer(struct.pack("=Qi", access, path_fd))
    _call("landlock_add_rule", _long(fd), _long(below), rule, _long(0))


def landlock_restrict(fd: int) -> None:
    """This process and all it starts obey the rules from here on. Needs no_new_privs."""
    _call("landlock_restrict_self", _long(fd), _long(0))


class Filter:
    """A seccomp program, laid out once for all children."""

    def __init__(self, program: bytes) -> None:
        self._program = ctypes.create_string_buffer(program, len(program))
        at = ctypes.addressof(self._program)
        self._request = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program) // 8, at))

    def install(self) -> None:
        """This process and all it starts obey it from here on. Needs no_new_privs."""
        _call("seccomp", _long(_SECCOMP_SET_MODE_FILTER), _long(_SECCOMP_FILTER_FLAG_SPEC_ALLOW), self._request)
