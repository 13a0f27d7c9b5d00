"""A real node, as a user starts it: its own process, its own data folder, any free port."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from functory.sdk import Credentials, credentials

READY = re.compile(r"\bready (http://\S+)")
START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 10


def clean_environment() -> dict[str, str]:
    """This process's environment without anything that sets up a node or a client."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FUNCTORY_")}


class NodeProcess:
    """`functory up` in a folder of its own."""

    def __init__(self, folder: Path, *flags: str, prefix: tuple[str, ...] = ()) -> None:
        """`prefix`: a command that runs it, as another user perhaps."""
        self._prefix = prefix
        self.folder = folder
        self.data = folder / ".functory"
        self.endpoint = ""
        self._flags = flags
        self._said: list[str] = []
        self._ready = threading.Event()

    def start(self) -> None:
        """Returns when it says `ready http://…`."""
        command = [
            *self._prefix,
            sys.executable,
            "-m",
            "functory",
            "up",
            "--port",
            "0",
            "--data",
            str(self.data),
            *self._flags,
        ]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            env=clean_environment(),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._ready.wait(START_TIMEOUT_S) or not self.endpoint:
            self.process.kill()
            self._end()
            pytest.fail(f"the node was not ready in {START_TIMEOUT_S} s; it said:\n{self.log}")

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._said.append(line)
            found = READY.search(line)
            if found:
                self.endpoint = found[1]
                self._ready.set()
        self._ready.set()  # it ended: nobody need wait any longer

    @property
    def log(self) -> str:
        """What it said so far."""
        return "".join(self._said)

    @property
    def credentials(self) -> Credentials:
        """The keys it wrote."""
        return credentials.read(self.data / credentials.FILE_NAME)

    def stop(self) -> int:
        """Asks it to end; its exit code. It fails the test if that takes too long."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self._end()
            pytest.fail(f"the node did not end within {STOP_TIMEOUT_S} s of SIGTERM; it said:\n{self.log}")
        self._end()
        return code

    def _end(self) -> None:
        self.process.wait()
        self._reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()
