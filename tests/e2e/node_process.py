"""A real node, as a user starts it: its own process, its own data folder, any free port."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
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

    @property
    def environment(self) -> dict[str, str]:
        """What tells a client of ours, by the environment, where it is and how to sign."""
        keys = self.credentials
        return {
            "FUNCTORY_ENDPOINT": self.endpoint,
            "FUNCTORY_ACCESS_KEY_ID": keys.access_key_id,
            "FUNCTORY_ACCESS_KEY_SECRET": keys.access_key_secret,
        }

    @property
    def cloud_environment(self) -> dict[str, str]:
        """The whole environment of a program for the cloud: it has to be told where the node is and how to sign."""
        environment = clean_environment() | {
            "ENDPOINT": self.endpoint.removeprefix("http://"),
            "ACCESS_KEY_ID": self.credentials.access_key_id,
            "ACCESS_KEY_SECRET": self.credentials.access_key_secret,
            "NO_PROXY": "127.0.0.1,localhost",
        }
        environment.pop("PYTHONPATH", None)
        return environment

    def cli(
        self,
        *arguments: str,
        code: int = 0,
        cwd: Path | None = None,
        environ: Mapping[str, str] | None = None,
        timeout_s: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """`functory …`, by default beside the data folder, where its keys are found; it must end with `code`."""
        done = subprocess.run(
            [sys.executable, "-m", "functory", *arguments],
            capture_output=True,
            text=True,
            cwd=cwd or self.folder,
            env=clean_environment() | dict(environ or {}),
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == code, f"{arguments}: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

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

    def kill(self) -> None:
        """Ends it as a power cut would; what it made ends with it."""
        self.process.kill()
        self._end()

    def _end(self) -> None:
        self.process.wait()
        self._reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()
