"""Folders for temporary files: one for each instance, private, and gone with it."""

from __future__ import annotations

import os
import stat
import sys

from functory.sandbox.base import SandboxError


class Folders:
    """Makes and removes them below one folder, which bears the maker's process in its name."""

    def __init__(self, top: str = "") -> None:
        """`top`: to be made, reachable by all users; empty: in the system's folder for temporary files."""
        _remove_stale()
        self._top = top or f"{_prefix()}{os.getpid()}-{os.urandom(4).hex()}"
        os.mkdir(self._top, 0o711)
        os.chmod(self._top, 0o711)  # whatever the umask
        self.removers: set[int] = set()
        """Processes that remove what was not empty: that may take long, and the maker must not wait."""

    def make(self, name: str, uid: int) -> str:
        """A folder that only `uid` (0: the maker's user) may enter."""
        path = os.path.join(self._top, name)
        try:
            os.mkdir(path, 0o700)
            if uid:
                os.chown(path, uid, uid)
        except OSError as failure:
            raise SandboxError(f"no folder for temporary files could be made: {failure}") from failure
        return path

    def remove(self, path: str) -> None:
        """Removes one; the instance must be gone."""
        try:
            os.rmdir(path)
        except FileNotFoundError:
            pass
        except OSError:
            if remover := _spawn_remover(path):
                self.removers.add(remover)

    def reap(self) -> None:
        """Takes in which removers are done."""
        self.removers = {pid for pid in self.removers if os.waitpid(pid, os.WNOHANG) == (0, 0)}

    def close(self) -> None:
        """Removes everything."""
        if remover := _spawn_remover(self._top):
            self.removers.add(remover)
        for pid in self.removers:
            os.waitpid(pid, 0)
        self.removers.clear()


def _spawn_remover(path: str) -> int:
    try:
        return os.posix_spawn("/bin/rm", ["rm", "-rf", "--one-file-system", path], {}, setsid=True)
    except OSError as failure:
        sys.stderr.write(f"functory spawner: {path} could not be removed: {failure}\n")
        return 0


def _prefix() -> str:
    return os.path.join(os.environ.get("TMPDIR") or "/tmp", f"functory-{os.geteuid()}-")


def _remove_stale() -> None:
    """Folders of makers that were killed before they could clean up."""
    where, prefix = os.path.split(_prefix())
    for name in os.listdir(where):
        if name.startswith(prefix) and not os.path.exists(f"/proc/{name[len(prefix) :].partition('-')[0]}"):
            path = os.path.join(where, name)
            facts = os.lstat(path)
            if facts.st_uid == os.geteuid() and stat.S_ISDIR(facts.st_mode) and (remover := _spawn_remover(path)):
                os.waitpid(remover, 0)
