"""`./dev bench containers`: what an image costs over code, and what reading ahead saves. As root, no node.

start    spawn to first answer of one static binary, as code of a custom runtime and in images of 1, 2 and 8 layers;
         taken by turns, stems in stock
pages    the same for a Python with its libraries in an image: its pages in memory, let go of, and let go of but asked
         for while it starts. Only the image's own files are let go of.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from contracts import go_program
from functory.model.instance import Program, RootImage
from functory.runtimes.images import pages
from functory.sandbox import tiers
from functory.sandbox.namespace import NamespaceSandboxes
from functory.sandbox.safe import SafeSandboxes
from functory.testing.workshop import Workshop, interpreter

SUBJECTS = Path(__file__).resolve().parents[1] / "contracts" / "subjects"
IMPORTS = "import asyncio, decimal, email.message, logging.config, multiprocessing.pool, sqlite3, ssl, unittest.mock\n"
STARTS_LIMIT_MS = 1.5
SAVED_LIMIT = 0.6


@contextmanager
def workshop() -> Iterator[tuple[Workshop, NamespaceSandboxes]]:
    """Boxes with all that can stand ready."""
    found = tiers.find(interpreter(), f"functory-bench-{os.getpid()}")
    if found.tier is None:
        sys.exit(f"containers: there are no boxes here: {found.why_not}")
    maker = NamespaceSandboxes(found.tier, groups=found.groups)
    with Workshop(SafeSandboxes(maker)) as made:
        yield made, maker


def start_ms(shop: Workshop, maker: NamespaceSandboxes, code: Path, **fields: Any) -> float:
    """Spawn to first answer."""
    while maker.short:
        maker.refill()
    began = time.perf_counter()
    running = shop.make(code, reserve_mb=512, **fields)
    running.hello()
    assert running.talk.call(b"x").body == b"x"
    took = (time.perf_counter() - began) * 1000
    running.box.kill()
    shop.end_of(running)
    return took


def starts(rounds: int) -> float:
    """Prints what each kind costs; the median of two layers over the code's, in ms."""
    program = go_program.build(SUBJECTS / "container")
    with workshop() as (shop, maker):
        code = shop.code("", "empty")
        layers = [shop.code("", f"only-{number}") for number in range(8)]
        for folder in (code, layers[0]):
            (folder / "server").write_bytes(program)
            (folder / "server").chmod(0o755)
        for folder in layers:
            shop.give_to_root(folder)
        kinds: dict[str, dict[str, Any]] = {"code of a custom runtime": {"program": Program(command=("/code/server",))}}
        for count in (1, 2, 8):
            image = RootImage(layers=tuple(map(str, layers[:count])))
            kinds[f"an image of {count} layers"] = {"image": image, "program": Program(command=("/server",))}
        took: dict[str, list[float]] = {name: [] for name in kinds}
        for _ in range(rounds):
            for name, fields in kinds.items():
                took[name].append(start_ms(shop, maker, code, environment={}, **fields))
    for name, times in took.items():
        print(f"{name:28} p50 {statistics.median(times):6.2f} ms  p90 {sorted(times)[int(rounds * 0.9)]:6.2f} ms")
    medians = [statistics.median(times) for times in took.values()]
    return medians[2] - medians[0]


def python_image(folder: Path) -> None:
    """The machine's Python, its standard library and what they are linked to."""
    (folder / "usr/bin").mkdir(parents=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    library = Path(os.__file__).parent
    shutil.copy(os.path.realpath(sys.executable), folder / "usr/bin/python3")
    shutil.copytree(library, folder / "usr/lib" / version, ignore=shutil.ignore_patterns("*-packages", "test"))
    programs = [folder / "usr/bin/python3", *(library / "lib-dynload").glob("*.so")]
    linked = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=True).stdout
    for path in {word for word in linked.split() if word.startswith("/") and not word.endswith(":")}:
        target = folder / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(os.path.realpath(path), target)
    source = (SUBJECTS / "server.py").read_text().replace("from __future__ import annotations", IMPORTS)
    (folder / "server.py").write_text(source)


def read_ahead(rounds: int) -> float:
    """Prints the three starts; which part of what cold pages cost is saved."""
    took: dict[str, list[float]] = {"in memory": [], "let go of": [], "asked for meanwhile": []}
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder, workshop() as (shop, maker):
        image, code = Path(folder), shop.code("", "empty")
        image.chmod(0o755)
        python_image(image)
        shop.give_to_root(image)
        os.sync()
        program = Program(command=("/usr/bin/python3", "/server.py"))
        fields = {"environment": {}, "image": RootImage(layers=(folder,)), "program": program}
        pages.let_go(folder)
        start_ms(shop, maker, code, **fields)
        recording = pages.record([folder])
        print(f"recorded: {len(recording.files)} files, {recording.size_bytes >> 20} MB")
        for _ in range(rounds):
            took["in memory"].append(start_ms(shop, maker, code, **fields))
            pages.let_go(folder)
            took["let go of"].append(start_ms(shop, maker, code, **fields))
            pages.let_go(folder)
            asking = threading.Thread(target=pages.ask, args=([folder], recording))
            asking.start()
            took["asked for meanwhile"].append(start_ms(shop, maker, code, **fields))
            asking.join()
    for name, times in took.items():
        print(f"{name:28} p50 {statistics.median(times):6.1f} ms")
    warm, cold, asked = (statistics.median(times) for times in took.values())
    return (cold - asked) / (cold - warm)


def main() -> None:
    """Both, each with its promise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    more_ms = starts(rounds)
    print(f"an image's root costs {more_ms:.2f} ms: promised <= {STARTS_LIMIT_MS}\n")
    saved = read_ahead(max(3, rounds // 6))
    print(f"reading ahead saves {saved:.0%} of what cold pages cost: promised >= {SAVED_LIMIT:.0%}")


if __name__ == "__main__":
    main()
