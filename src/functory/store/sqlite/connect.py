"""Connections to the database file, and its schema."""

from __future__ import annotations

import os
from pathlib import Path

import apsw

from functory.model import errors
from functory.store import queries

APPLICATION_ID = 0x46756E63
"""`Func`: marks the file as ours."""
BUSY_TIMEOUT_MS = 5000

EVERY = f"""
PRAGMA busy_timeout = {BUSY_TIMEOUT_MS};
PRAGMA foreign_keys = ON;
PRAGMA trusted_schema = OFF;
PRAGMA temp_store = MEMORY;
"""
"""What every connection is told."""

# FULL: with NORMAL a power cut takes back commits that were acknowledged; group commit pays for it. Pages of 8 KB
# save a tenth of the cost of large chunks. A checkpoint every 8 MB; the limit gives room back after a burst.
WRITER = """
PRAGMA page_size = 8192;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA wal_autocheckpoint = 1000;
PRAGMA journal_size_limit = 67108864;
"""
"""What the one that writes is told too."""


def writer(path: Path, *, vfs: str | None = None) -> apsw.Connection:
    """The one connection that writes; makes the file, private to its owner, and brings its schema up to date."""
    # SQLite would make it readable for all; its -wal and -shm files take over the mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
    try:
        run_all(connection, EVERY)
        check_identity(connection, path)
        run_all(connection, WRITER)
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def reader(path: Path, *, vfs: str | None = None) -> apsw.Connection:
    """A connection that only reads. It is not opened read-only: it must be able to make the shared index of the WAL."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
    run_all(connection, EVERY + "PRAGMA query_only = ON;")
    return connection


def run_all(connection: apsw.Connection, sql: str) -> None:
    """Run every statement. `execute` alone stops at the first that answers a row, until that is fetched."""
    for _ in connection.execute(sql):
        pass


def check_identity(connection: apsw.Connection, path: Path) -> None:
    """`StorageCorrupt` for a database of another program, or of a newer Functory: neither may be touched."""
    owner, version = connection.pragma("application_id"), connection.pragma("user_version")
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").get
    if owner != APPLICATION_ID and (tables or owner or version):
        raise errors.StorageCorrupt(
            f"{path} is a database of another program", hint="give Functory a data folder of its own"
        )
    newest = len(queries.migrations())
    if version > newest:
        raise errors.StorageCorrupt(
            f"{path} was written by a newer Functory (schema {version}, this one knows up to {newest})",
            hint="install that version again, or restore a backup from before the upgrade",
        )


def migrate(connection: apsw.Connection) -> None:
    """Run the steps that the database has not seen, each in a transaction of its own."""
    version = connection.pragma("user_version")
    for step in queries.migrations()[version:]:
        with connection:
            run_all(connection, step.sql)
            connection.pragma("application_id", APPLICATION_ID)
            connection.pragma("user_version", step.version)
