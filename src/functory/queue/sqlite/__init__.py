"""The queue in the store's SQLite file, written by the store's one writer thread."""

from functory.queue.sqlite.queue import SqliteQueue

__all__ = ["SqliteQueue"]
