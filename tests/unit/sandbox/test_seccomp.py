"""The filter of system calls, run by a small machine of its own: what it says to each call."""

from __future__ import annotations

import struct

import pytest

from functory.sandbox import seccomp

ALLOW, KILL, EPERM, ENOSYS, EAFNOSUPPORT = 0x7FFF0000, 0x80000000, 0x50001, 0x50026, 0x50061
ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def verdict(program: bytes, arch: int, number: int, *arguments: int) -> int:
    """What the kernel would answer."""
    data = struct.pack("<IIQ6Q", number, arch, 0, *(*arguments, *[0] * 6)[:6])
    code = list(struct.iter_unpack("HBBI", program))
    at = value = 0
    while True:
        operation, hit, miss, constant = code[at]
        at += 1
        if operation == 0x20:
            (value,) = struct.unpack_from("<I", data, constant)
        elif operation == 0x06:
            return int(constant)
        else:
            test = {0x15: value == constant, 0x35: value >= constant, 0x45: bool(value & constant)}[operation]
            at += hit if test else miss


@pytest.mark.parametrize("machine", ARCH)
def test_what_is_on_the_list_is_denied_and_everything_else_allowed(machine: str) -> None:
    program, column = seccomp.build(machine), list(ARCH).index(machine)
    denied = {pair[column] for pair in seccomp._DENIED.values()}
    special = {seccomp._CLONE3, seccomp._SOCKET[column]}
    for number in range(600):
        if number not in special:
            assert verdict(program, ARCH[machine], number) == (EPERM if number in denied else ALLOW), number


@pytest.mark.parametrize("machine", ARCH)
def test_calls_that_depend_on_their_arguments(machine: str) -> None:
    program, column = seccomp.build(machine), list(ARCH).index(machine)

    def ask(number: int, *arguments: int) -> int:
        return verdict(program, ARCH[machine], number, *arguments)

    assert ask(seccomp._CLONE3) == ENOSYS
    assert ask(seccomp._CLONE[column], 17) == ALLOW
    assert ask(seccomp._CLONE[column], 0x3D0F00) == ALLOW, "a thread"
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000, 0x80):
        assert ask(seccomp._CLONE[column], flag | 17) == EPERM
    assert ask(seccomp._IOCTL[column], 0, 0x5412) == EPERM
    assert ask(seccomp._IOCTL[column], 0, 0x5413) == ALLOW
    assert [ask(seccomp._SOCKET[column], family) for family in (1, 2, 10, 16)] == [ALLOW] * 4
    assert [ask(seccomp._SOCKET[column], family) for family in (0, 17, 38, 40)] == [EAFNOSUPPORT] * 4


@pytest.mark.parametrize("machine", ARCH)
def test_a_template_may_make_what_instances_consist_of_and_nothing_else(machine: str) -> None:
    strict, program = seccomp.build(machine), seccomp.build_for_templates(machine)
    column = list(ARCH).index(machine)

    def ask(number: int, *arguments: int) -> int:
        return verdict(program, ARCH[machine], number, *arguments)

    mount, unshare, setns = (seccomp._DENIED[name][column] for name in ("mount", "unshare", "setns"))
    for flag in (0x20000, 0x4000000, 0x8000000, 0x10000000, 0x40000000, 0):
        assert ask(unshare, flag) == EPERM
        assert ask(setns, 5, flag) == EPERM
    assert (ask(unshare, 0x20000000), ask(setns, 5, 0x20000000)) == (ALLOW, ALLOW)
    assert [ask(mount, 0, 0, 0, flags) for flags in (14, 6)] == [ALLOW, ALLOW]
    for flags in (0, 4096, 8192, 32, 4096 | 14, 32 | 4096 | 1, 1 << 18):
        assert ask(mount, 0, 0, 0, flags) == EPERM
    assert ask(seccomp._CLONE3) == ALLOW
    for number in set(range(600)) - {mount, unshare, setns, seccomp._CLONE3}:
        for argument in (0, 17, 0x10000000 | 17):
            assert ask(number, argument) == verdict(strict, ARCH[machine], number, argument), number


def test_other_instruction_sets_are_the_end() -> None:
    program = seccomp.build("x86_64")
    assert verdict(program, 0x40000003, 1) == KILL
    assert verdict(program, ARCH["x86_64"], 0x40000001) == KILL


def test_a_machine_without_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="riscv64"):
        seccomp.build("riscv64")
