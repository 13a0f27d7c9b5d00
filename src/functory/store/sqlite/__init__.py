"""The store in one file: SQLite, one writer thread with group commit, readers beside it."""

from functory.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
