"""The three pipes of an instance: requests, replies, raw log."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterable
from typing import NamedTuple

PIPE_BYTES = 1 << 20
"""A whole large payload fits: fewer wake-ups on both sides."""
_LARGE_PIPES = 48
"""Instances with large pipes where the kernel counts pipe pages per user: 64 MB for all, then pipes shrink to 8 KB."""


class Pipes(NamedTuple):
    """Both sides, each in the order request, reply, log."""

    ours: tuple[int, int, int]
    """The node's ends, non-blocking."""
    theirs: tuple[int, int, int]
    """The instance's ends."""


def make(instances: int) -> Pipes:
    """Pipes for one more instance beside `instances` others; OSError if there are no descriptors left."""
    fds: list[int] = []
    try:
        for _ in range(3):
            fds += os.pipe2(os.O_CLOEXEC)
    except OSError:
        close(fds)
        raise
    request_read, request_write, reply_read, reply_write, log_read, log_write = fds
    if instances < _LARGE_PIPES or os.geteuid() == 0:
        for fd in (request_write, reply_read):
            with contextlib.suppress(OSError):  # over the user's limit: the size stays as it is
                fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    ours = (request_write, reply_read, log_read)
    for fd in ours:
        os.set_blocking(fd, False)
    return Pipes(ours, (request_read, reply_write, log_write))


def close(fds: Iterable[int]) -> None:
    """Closes all of them."""
    for fd in fds:
        os.close(fd)
