"""The filter of system calls as a BPF program: which calls a function may not make. Pure; built once per zygote.

A deny list: what programs of all languages need is too much to list, what nobody needs inside a box is little. Denied
calls fail with EPERM, so that programs that only try them go on. `clone3` fails with ENOSYS: its flags lie behind a
pointer, which no filter can read, and the C library falls back to `clone`, whose flags it can. A foreign instruction
set (32 bit, x32) would have other numbers: it is the end of the process.
"""

from __future__ import annotations

import struct

_DENIED: dict[str, tuple[int, int]] = {  # name: (x86_64, aarch64); -1 = not there
    # mounts and roots
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "open_tree_attr": (467, 467), "statmount": (457, 457),
    "listmount": (458, 458),
    # namespaces
    "unshare": (272, 97), "setns": (308, 268),
    # other processes
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "process_madvise": (440, 440), "process_mrelease": (448, 448),
    "migrate_pages": (256, 238), "move_pages": (279, 239),
    # kernel keyrings: shared by all processes of a user, whatever the namespace
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    # large and young parts of the kernel
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "memfd_secret": (447, 447),
    "landlock_add_rule": (445, 445), "fanotify_init": (300, 262), "fanotify_mark": (301, 263),
    "lookup_dcookie": (212, 18), "remap_file_pages": (216, 234), "vmsplice": (278, 75),
    # the machine
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "create_module": (174, -1), "query_module": (178, -1), "get_kernel_syms": (177, -1),
    "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89), "quotactl": (179, 60),
    "quotactl_fd": (443, 443), "syslog": (103, 116), "sethostname": (170, 161), "setdomainname": (171, 162),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171), "clock_adjtime": (305, 266),
    "iopl": (172, -1), "ioperm": (173, -1), "vhangup": (153, 58), "nfsservctl": (180, 42), "uselib": (134, -1),
    "ustat": (136, -1), "sysfs": (139, -1), "_sysctl": (156, -1), "mknod": (133, -1), "mknodat": (259, 33),
    "modify_ldt": (154, -1), "personality": (135, 92),
    # files by number, past all paths
    "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264),
}  # fmt: skip
_ARCHES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
_CLONE = (56, 220)
_CLONE3 = 435
_IOCTL = (16, 29)
_SOCKET = (41, 198)
_NAMESPACES = 0x7E020080  # user, mount, pid, net, ipc, uts, cgroup, time
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_FAMILIES = (1, 2, 10, 16)
"""Sockets: unix, IPv4, IPv6, netlink (the C library asks it for addresses)."""
_X32 = 0x40000000

_LD, _JEQ, _JGE, _JSET, _RET = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS, _EAFNOSUPPORT = 1, 38, 97
_LEAF = 4
"""So many numbers are compared one after another; above, the range is halved."""
_NUMBER_AT, _ARCH_AT, _FIRST_AT, _SECOND_AT, _FOURTH_AT = 0, 4, 16, 24, 40
_NEWPID = 0x20000000
_MOUNT_FLAGS = (14, 6)
"""The mounts that an instance gets of its template: /proc (nosuid, nodev, noexec) and /tmp (nosuid, nodev)."""

Instruction = tuple[int, int, int, int]


def build(machine: str, *, network: bool = True) -> bytes:
    """The program for a machine; ValueError if its numbers are not known. `network` off: no sockets but unix ones."""
    arch, column = _machine(machine)
    program = _head(arch)
    program += _when(_CLONE3, [(_RET, 0, 0, _ERRNO | _ENOSYS)])
    program += _when(_CLONE[column], _argument(_FIRST_AT, _JSET, (_NAMESPACES,), _ERRNO | _EPERM, _ALLOW))
    return _finish(program, column, (), network=network)


def build_for_templates(machine: str) -> bytes:
    """The program below which a template lives: it makes instances, so it may make what those consist of.

    `clone3` cannot be looked into; that no user and no network namespace comes of it, the frame's own limits see to.
    New mounts of /proc and /tmp are allowed, but none that moves, binds, changes or removes one.
    """
    arch, column = _machine(machine)
    program = _head(arch)
    program += _when(_CLONE[column], _argument(_FIRST_AT, _JSET, (_NAMESPACES,), _ERRNO | _EPERM, _ALLOW))
    own = ("mount", "unshare", "setns")
    mount, unshare, setns = (_DENIED[name][column] for name in own)
    program += _when(mount, _argument(_FOURTH_AT, _JEQ, _MOUNT_FLAGS, _ALLOW, _ERRNO | _EPERM))
    program += _when(unshare, _argument(_FIRST_AT, _JEQ, (_NEWPID,), _ALLOW, _ERRNO | _EPERM))
    program += _when(setns, _argument(_SECOND_AT, _JEQ, (_NEWPID,), _ALLOW, _ERRNO | _EPERM))
    return _finish(program, column, own)


def _machine(machine: str) -> tuple[int, int]:
    if machine not in _ARCHES:
        raise ValueError(f"no filter of system calls is known for {machine}")
    return _ARCHES[machine]


def _head(arch: int) -> list[Instruction]:
    """Nothing but this machine's own instruction set; the number of the call is loaded afterwards."""
    return [
        (_LD, 0, 0, _ARCH_AT),
        (_JEQ, 1, 0, arch),
        (_RET, 0, 0, _KILL),
        (_LD, 0, 0, _NUMBER_AT),
        (_JGE, 0, 1, _X32),
        (_RET, 0, 0, _KILL),
    ]


def _finish(program: list[Instruction], column: int, but: tuple[str, ...], *, network: bool = True) -> bytes:
    """What all have in common; the names in `but` have been decided upon."""
    numbers = sorted(pair[column] for name, pair in _DENIED.items() if pair[column] >= 0 and name not in but)
    program += _when(_IOCTL[column], _argument(_SECOND_AT, _JEQ, (_TIOCSTI, _TIOCLINUX), _ERRNO | _EPERM, _ALLOW))
    program += _when(
        _SOCKET[column],
        _argument(_FIRST_AT, _JEQ, _FAMILIES if network else _FAMILIES[:1], _ALLOW, _ERRNO | _EAFNOSUPPORT),
    )
    program += _tree(numbers)
    return b"".join(struct.pack("HBBI", *one) for one in program)


def _when(number: int, then: list[Instruction]) -> list[Instruction]:
    """`then` ends in a return, so what follows is only reached by other numbers."""
    return [(_JEQ, 0, len(then), number), *then]


def _argument(at: int, test: int, values: tuple[int, ...], hit: int, miss: int) -> list[Instruction]:
    """Looks at the low half of an argument: the kernel ignores the other for these calls."""
    tests = [(test, len(values) - number, 0, value) for number, value in enumerate(values)]
    return [(_LD, 0, 0, at), *tests, (_RET, 0, 0, miss), (_RET, 0, 0, hit)]


def _tree(numbers: list[int]) -> list[Instruction]:
    """Denies `numbers` (sorted), allows all others."""
    if len(numbers) <= _LEAF:
        tests = [(_JEQ, len(numbers) - place, 0, number) for place, number in enumerate(numbers)]
        return [*tests, (_RET, 0, 0, _ALLOW), (_RET, 0, 0, _ERRNO | _EPERM)]
    middle = len(numbers) // 2
    below, above = _tree(numbers[:middle]), _tree(numbers[middle:])
    assert len(below) < 256, "a jump is one byte"
    return [(_JGE, len(below), 0, numbers[middle]), *below, *above]
