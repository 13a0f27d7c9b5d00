"""What a first request writes to is learnt from one copy and made ready in the others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from functory.runtimes import wire

BOOTSTRAP = Path(wire.__file__).parent / "bootstrap"
SCRIPT = f"""
import os, resource, sys
package = type(sys)("_functory"); package.__path__ = [{str(BOOTSTRAP)!r}]; sys.modules["_functory"] = package
from _functory import touched
held = [bytearray(4096) for _ in range(300)]
known = touched.Touched()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def copy(work):
    told, tell = os.pipe()
    if os.fork() == 0:
        work(tell)
        os._exit(0)
    os.wait()
    return int(os.read(told, 20))

def write(tell):
    before = faults()
    for one in held:
        one[0] = 1
    os.write(tell, b"%d" % (faults() - before))

def first(tell):
    write(tell)
    known.learn()

def second(tell):
    known.make_ready()
    known.make_ready()
    write(tell)

nothing = os.pipe()[0]
before, ready = copy(first), known.known
print(before, copy(second), int(ready))
"""


def test_pages_that_one_copy_wrote_to_are_ready_in_the_next() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=True)
    before, after, ready = map(int, done.stdout.split())
    assert ready == 1
    assert before > 250
    assert after < before / 3
