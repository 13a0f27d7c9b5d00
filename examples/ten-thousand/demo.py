"""Ten thousand tasks on a node that is killed in the middle: every 202 is kept. See README.md."""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from functory.sdk import ApiError, Client, ConnectionFailed, credentials

HERE = Path(__file__).parent
CLIENTS = 4
CHECKED = 1000
START_S = 30


class Node:
    """`functory up` in a folder; started again, it has the same port."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / ".functory"
        self._port = "0"

    def start(self) -> None:
        """Returns once it says that it is ready."""
        command = [sys.executable, "-m", "functory", "up", "--port", self._port, "--data", str(self.data)]
        self.process = subprocess.Popen([*command, "--log-level", "warning"], stdout=subprocess.PIPE, text=True)
        watchdog = threading.Timer(START_S, self.process.kill)
        watchdog.start()
        for line in self.process.stdout:
            found = re.search(r"\bready (http://\S+:(\d+))", line)
            if found:
                watchdog.cancel()
                self._port = found[2]
                return
        raise SystemExit("the node did not start")

    def kill(self) -> None:
        """No good-bye."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def client(self) -> Client:
        """With the keys that the node wrote."""
        return Client(credentials.read(self.data / credentials.FILE_NAME))

    def command(self, *arguments: str) -> str:
        """What a `functory` command prints."""
        command = [sys.executable, "-m", "functory", *arguments]
        return subprocess.run(command, cwd=self.data.parent, check=True, text=True, stdout=subprocess.PIPE).stdout


class Submitters:
    """Clients that hand out the numbers, each until it is accepted."""

    def __init__(self, node: Node, count: int) -> None:
        self._node = node
        self._left = list(range(count))[::-1]
        self.accepted = 0
        self.repeated = 0
        self.failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run) for _ in range(CLIENTS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        client = self._node.client()
        try:
            while self._left:
                try:
                    number = self._left.pop()
                except IndexError:
                    return
                client = self._submit(client, number)
        except BaseException as failure:
            self.failures.append(failure)
        finally:
            client.close()

    def _submit(self, client: Client, number: int) -> Client:
        while True:
            try:
                client.submit("digits", str(number), task_id=f"n{number}")
            except ConnectionFailed:
                # No answer: it may have been accepted or not. The same id again makes one task of it in any case.
                self.repeated += 1
                time.sleep(0.05)
                continue
            except ApiError as refused:
                if refused.code != "StatefulAsyncInvocationAlreadyExists":
                    raise
            self.accepted += 1
            return client


def main() -> int:
    """Prints what happens; 0 if every task has its right answer."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--tasks", type=int, default=10_000)
    options.add_argument("--kills", type=int, default=1)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        node = Node(Path(folder))
        node.start()
        try:
            return run(node, chosen.tasks, chosen.kills)
        finally:
            node.process.terminate()
            node.process.wait()


def run(node: Node, count: int, kills: int) -> int:
    """The whole of it."""
    print(node.command("deploy", str(HERE)), end="")
    begin = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - begin:5.1f} s  {what}", flush=True)

    submitters = Submitters(node, count)
    submitters.start()
    for number in range(1, kills + 1):
        while submitters.accepted < count * number / (kills + 1) and not submitters.failures:
            time.sleep(0.005)
        say(f"{submitters.accepted:,} accepted; kill -9")
        node.kill()
        node.start()
        say("the node is back")
    submitters.join()
    if submitters.failures:
        raise submitters.failures[0]
    say(f"{submitters.accepted:,} accepted, {submitters.repeated} submissions repeated")
    with node.client() as client:
        while sum(client.tasks.summary("digits")[0].counts.get(state, 0) for state in ("Succeeded", "Failed")) < count:
            time.sleep(0.1)
        say("all have ended")
        wrong = [
            number
            for number in range(0, count, max(1, count // CHECKED))
            if client.tasks.result("digits", f"n{number}") != str(sum(map(int, str(number)))).encode()
        ]
        counts = client.tasks.summary("digits")[0].counts
    print("\n$ functory task ls --summary\n" + node.command("task", "ls", "--summary"))
    print(f"answers checked: {len(range(0, count, max(1, count // CHECKED))):,}, wrong: {len(wrong)}")
    return 0 if counts == {"Succeeded": count} and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
