"""`./dev bench clone`: from `git clone` to the demo's table, as a stranger meets it (SPECIFICATION.md, row 17).

A fresh clone of the last commit, an empty home, empty caches: everything that is needed is downloaded again, so the
figure holds the network's speed too. With `--warm` the caches of this user are used: what is left is our own work.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
BOUND_S = 60.0
GIVE_UP_S = 600
MARKS = (
    ("packages are there, the node answers", "ready http"),
    ("photographs are there, the function is deployed", " created "),
    ("the table is printed", "calls cost"),
)
"""What the output says, in its order, when a part is done."""
KEPT = ("PATH", "LANG", "LC_", "PIP_", "UV_", "SSL_", "http", "HTTP")
"""How the names begin of what a stranger's shell has too: where programs are, which package index to ask, and how."""


def environment(home: Path, *, warm: bool) -> dict[str, str]:
    """A shell in which nothing of this checkout is known; with empty caches unless `warm`."""
    own = str(ROOT / ".venv")
    found = {name: value for name, value in os.environ.items() if name.startswith(KEPT) and "CACHE" not in name}
    found["PATH"] = ":".join(part for part in found["PATH"].split(":") if not part.startswith(own))
    if warm:
        return found | {"HOME": os.environ["HOME"], "COLUMNS": "140"}
    return found | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "COLUMNS": "140"}


def clone(target: Path, environ: dict[str, str]) -> float:
    """Seconds that `git clone` took."""
    begin = time.perf_counter()
    source = f"file://{ROOT}"
    subprocess.run(["git", "clone", "-q", "--depth", "1", source, str(target)], check=True, env=environ)
    return time.perf_counter() - begin


def demo(target: Path, environ: dict[str, str]) -> tuple[list[tuple[str, float]], str]:
    """The parts of `./dev up --demo` and the seconds each took, and all that was said; the node is stopped after it."""
    begin = last = time.perf_counter()
    process = subprocess.Popen(
        ["./dev", "up", "--demo", "--port", "0"], cwd=target, env=environ, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    watchdog = threading.Timer(GIVE_UP_S, os.killpg, (process.pid, signal.SIGINT))
    watchdog.start()
    waiting, parts, said = list(MARKS), [], []
    assert process.stdout is not None
    for line in process.stdout:
        said.append(line)
        while waiting and waiting[0][1] in line:
            now = time.perf_counter()
            parts.append((waiting.pop(0)[0], now - last))
            last = now
        if not waiting:
            break
    parts.append(("in all, without the clone", last - begin))
    os.killpg(process.pid, signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    watchdog.cancel()
    return (parts if not waiting else []), "".join(said) + rest


def main() -> int:
    """Prints the parts; 1 if the promise is not kept, 2 if there was no table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--warm", action="store_true", help="use the caches of this user")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environ = environment(Path(folder), warm=given.warm)
        target = Path(folder) / "functory"
        cloned_s = clone(target, environ)
        parts, said = demo(target, environ)
    if not parts:
        print(said)
        return 2
    total_s = cloned_s + parts[-1][1]
    table = Table(title="Clone to first result, seconds; " + ("caches warm" if given.warm else "caches empty"))
    table.add_column("part")
    table.add_column("s", justify="right")
    for name, took in [("git clone", cloned_s), *parts[:-1]]:
        table.add_row(name, f"{took:.1f}")
    table.add_section()
    table.add_row(f"in all, promised ≤ {BOUND_S:g}", f"{total_s:.1f}")
    Console(width=100).print(table)
    return 0 if total_s <= BOUND_S else 1


if __name__ == "__main__":
    sys.exit(main())
