"""What SQLite's errors mean to the callers of a store."""

from __future__ import annotations

import errno

import apsw

from functory.model import errors

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DAMAGED = (apsw.CorruptError, apsw.NotADBError, apsw.FormatError, apsw.SchemaChangeError)


def translate(failure: BaseException, system_errno: int = 0) -> errors.FunctoryError:
    """The error to raise for a failure of the database; `system_errno` is what the operating system said last."""
    if isinstance(failure, errors.FunctoryError):
        return failure
    error = _meaning(failure, system_errno)
    error.__cause__ = failure
    return error


def _meaning(failure: BaseException, system_errno: int) -> errors.FunctoryError:
    if isinstance(failure, apsw.FullError) or (isinstance(failure, apsw.IOError) and system_errno in _NO_ROOM):
        return errors.StorageFull(hint="free some space, or move the data folder to a larger disk")
    if isinstance(failure, _DAMAGED):
        return errors.StorageCorrupt(
            f"the database is damaged: {failure}", hint="stop the node and restore the data folder from a backup"
        )
    if isinstance(failure, apsw.BusyError | apsw.LockedError):
        return errors.Unavailable(f"another process holds the database: {failure}")
    if isinstance(failure, UnicodeEncodeError | OverflowError):
        return errors.InvalidArgument(f"a value cannot be stored: {failure}")
    if isinstance(failure, apsw.CantOpenError | apsw.PermissionsError | apsw.ReadOnlyError | OSError):
        return errors.SystemFault(
            f"the database cannot be opened or written: {failure}", hint="check the data folder and who owns it"
        )
    return errors.SystemFault(f"the database failed: {type(failure).__name__}: {failure}")
