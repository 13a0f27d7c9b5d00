"""The data folder: everything a node keeps lies in it, and only one node uses it at a time.

    functory.db      functions, keys, layers, records, logs         0600
    nonces           used signature nonces, for the next start      0600
    secret.key       opens the secrets in it                        0600
    credentials.json endpoint and key for clients on this machine   0600
    blob/            uploaded code as it came                       0700
    code/  layers/   unpacked, read by functions                    0755
    images/          archives of images that functions may name  0700
    containers/      their layers, unpacked                  0700
    tmp/             bodies and uploads under way                   0700

The folder itself can be passed through (0711) but not listed: functions may run under a user id of their own and must
reach their code.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from functory.model import errors


class Folder:
    """The paths of one data folder, locked while it is used."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.database = self.path / "functory.db"
        self.key = self.path / "secret.key"
        self.nonces = self.path / "nonces"
        self.credentials = self.path / "credentials.json"
        self.blob = self.path / "blob"
        self.code = self.path / "code"
        self.layers = self.path / "layers"
        self.images = self.path / "images"
        self.containers = self.path / "containers"
        self.tmp = self.path / "tmp"
        self._lock = -1

    def open(self) -> None:
        """Makes what is missing and takes the lock; `Unavailable` if another node has it or it cannot be written."""
        try:
            self.path.mkdir(mode=0o711, parents=True, exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            private = (self.blob, self.tmp, self.images, self.containers)
            for folder, mode in (*((one, 0o700) for one in private), (self.code, 0o755), (self.layers, 0o755)):
                folder.mkdir(mode=mode, exist_ok=True)
        except BlockingIOError as error:
            raise errors.Unavailable(
                f"another node uses {self.path}", hint="stop it, or choose another folder with --data"
            ) from error
        except OSError as error:
            why = "it is not a folder" if isinstance(error, FileExistsError) else error.strerror
            raise errors.Unavailable(
                f"the data folder {self.path} cannot be used: {why}", hint="choose another with --data"
            ) from error

    def close(self) -> None:
        """Gives the lock back; harmless twice."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
