"""What a plain process can be denied without namespaces: limits, privileges, descriptors.

Runs in zygotes and, after the fork, in the instances themselves, loaded by path: the standard library only.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the public module wraps every number in an enum, which costs more than the call
import contextlib
import ctypes
import os
import resource
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_SYS_CLOSE_RANGE = 436  # the same on all architectures
_GROUP_SIGNALS = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP)

STACK_MB = 8
"""What the C library reserves for each thread's stack; it counts as data."""
HEADROOM_MB = 64
"""What the interpreter, shared libraries' data and a few threads take besides the function's own memory."""
TASKS = 1024
"""Processes and threads of one instance; kept where it has a user id, or user namespace, of its own: the kernel counts
by both."""
FILES = 4096
REQUEST_FD, REPLY_FD = 3, 4
"""The channel's descriptors in every instance."""

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc["syscall"]
_syscall.argtypes = [ctypes.c_long, ctypes.c_uint, ctypes.c_uint, ctypes.c_uint]
_prctl = _libc["prctl"]
_prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong]


def _control(option: int, value: int) -> None:
    if _prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl {option}: {os.strerror(number)}")


def become_subreaper() -> None:
    """Orphans below come to this process instead of to init."""
    _control(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """SIGKILL when the process that forked this one ends; at once if it has ended already (`parent` 0: not asked)."""
    _control(_PR_SET_PDEATHSIG, _signal.SIGKILL)
    if parent and os.getppid() != parent:
        os._exit(1)


def keep_new_memory_off_mmap() -> None:
    """Large payloads come from the heap, which keeps its pages: a fresh mapping per megabyte costs more than the copy.

    What stays on the heap afterwards is given back by `malloc_trim`.
    """
    m_trim_threshold, m_mmap_threshold = -1, -3
    mallopt = getattr(_libc, "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(m_mmap_threshold, 32 << 20)
        mallopt(m_trim_threshold, 32 << 20)


def name_process(name: str) -> None:
    """What `ps` and `top` show (15 characters)."""
    comm = os.open("/proc/self/comm", os.O_WRONLY)
    os.write(comm, name.encode()[:15])
    os.close(comm)


def set_environment(values: dict[str, str]) -> None:
    """`os.environ.update` by the short way: every object that is touched costs a copied instance a page fault."""
    mirror, put = os.environ._data, os.putenv  # type: ignore[attr-defined]
    for name, value in values.items():
        key, text = name.encode("utf-8", "surrogateescape"), value.encode("utf-8", "surrogateescape")
        put(key, text)
        mirror[key] = text


def limit_all() -> None:
    """Limits that are the same for every instance; set in the zygote and inherited, like `deny_new_privileges`."""
    lower(resource.RLIMIT_NOFILE, FILES)
    lower(resource.RLIMIT_CORE, 0)


def limit(memory_mb: int, disk_mb: int, concurrency: int, own_user: bool, pid: int = 0) -> None:
    """Limits of one instance; they can only be lowered afterwards. `pid`: another process's than one's own."""
    lower(resource.RLIMIT_DATA, (memory_mb + HEADROOM_MB + (concurrency - 1) * STACK_MB) << 20, pid)
    lower(resource.RLIMIT_FSIZE, disk_mb << 20, pid)
    if own_user:
        lower(resource.RLIMIT_NPROC, TASKS, pid)


def lower(kind: int, wanted: int, pid: int = 0) -> None:
    """Sets a limit as far as it is allowed."""
    hard = resource.prlimit(pid, kind)[1]
    value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.prlimit(pid, kind, (value, value))


def drop_to(uid: int) -> None:
    """Becomes `uid`, which owns nothing. No way back. The groups were left by the zygote."""
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    # Otherwise the process's own files in /proc belong to root.
    _control(_PR_SET_DUMPABLE, 1)


def deny_new_privileges() -> None:
    """Set-user-id programs run without their privilege from here on, in all that descends from this process."""
    _control(_PR_SET_NO_NEW_PRIVS, 1)


def can_become(uid: int) -> bool:
    """Whether `drop_to(uid)` works here, found out by a child that does it. User namespaces map few ids."""
    pid = os.fork()
    if pid == 0:
        try:
            drop_to(uid)
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


def end_all_of(uid: int) -> None:
    """Kills every process of a user at once: no fork can slip through, and nobody has to be found first.

    A helper that becomes the user does it. It stays closed to that user's eyes, for it holds the zygote's descriptors.
    Both run before all others for that moment: a thousand processes that fork would let them wait for seconds.
    """
    with _before_all_others():
        pid = os.fork()
        if pid == 0:
            try:
                os.setresuid(uid, uid, uid)
                os.kill(-1, _signal.SIGKILL)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)


@contextlib.contextmanager
def _before_all_others() -> Iterator[None]:
    with contextlib.suppress(OSError):  # not allowed in some containers and cgroups: then it just takes longer
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def unreadable_for(uid: int, folders: list[str]) -> str:
    """The first of `folders` that `uid` cannot list, or an empty string. Asks the kernel under that user id."""
    os.setegid(uid)
    os.seteuid(uid)
    try:
        for folder in folders:
            # X for files is asked of the interpreter only, which is never opened.
            if not os.access(folder, os.R_OK | os.X_OK, effective_ids=True):
                return folder
        return ""
    finally:
        os.seteuid(0)
        os.setegid(0)


def unreadable_parts(uid: int) -> str:
    """What of the running interpreter `uid` cannot use, or an empty string."""
    return unreadable_for(uid, [sys.executable, os.path.dirname(os.__file__)])


def hold_signals() -> None:
    """A supervisor's SIGTERM to all processes means the node, which ends what is below in its own order."""
    _signal.pthread_sigmask(_signal.SIG_BLOCK, _GROUP_SIGNALS)


def let_signals_through() -> None:
    """An instance and what it starts shall not inherit the zygote's choice."""
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def own_descriptors(request_fd: int, reply_fd: int, log_fd: int, *more: int, keep: Iterable[int] = ()) -> None:
    """Arranges 1 and 2 = log, REQUEST_FD and REPLY_FD, `more` behind them; closes all others but 0, which is /dev/null.

    The given descriptors must be above where they go; those in `keep` stay as they are. The channel is not inherited by
    programs that are started.
    """
    os.dup2(log_fd, 1)
    os.dup2(log_fd, 2)
    os.dup2(request_fd, REQUEST_FD, inheritable=False)
    os.dup2(reply_fd, REPLY_FD, inheritable=False)
    for place, fd in enumerate(more, REPLY_FD + 1):
        os.dup2(fd, place, inheritable=False)
    close_all_but(REPLY_FD + 1 + len(more), keep)


def close_from(first: int) -> None:
    """Closes all descriptors from `first` on."""
    _close_range(first, 0xFFFFFFFF)


def close_all_but(first: int, keep: Iterable[int]) -> None:
    """Closes all descriptors from `first` on that are not in `keep`."""
    for fd in sorted(keep):
        if fd > first:
            _close_range(first, fd - 1)
        first = max(first, fd + 1)
    close_from(first)


def _close_range(first: int, last: int) -> None:
    if _syscall(_SYS_CLOSE_RANGE, first, last, 0) != 0:
        for name in os.listdir("/proc/self/fd"):  # kernels before 5.9
            if first <= int(name) <= last:
                with contextlib.suppress(OSError):
                    os.close(int(name))
