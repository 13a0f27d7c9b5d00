"""What the queue needs of the store: its writer and its readers, as plain protocols.

`store.sqlite.writer.Writer` and `store.sqlite.readers.Readers` are meant; a simulation brings its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import apsw

T = TypeVar("T")


class Writes(Protocol):
    """Runs jobs one after the other, each whole or not at all; answers once they are durable."""

    def submit(self, job: Callable[[apsw.Connection], T]) -> asyncio.Future[T]:
        """The future of a job's result."""


class Reads(Protocol):
    """Runs reads, each on one moment of the database."""

    def run(self, job: Callable[[apsw.Connection], T]) -> Awaitable[T]:
        """What `job` answers."""
