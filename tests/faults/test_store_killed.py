"""kill -9 in the middle of writing: every acknowledged write is there, and never half a write."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from functory.clock import SystemClock
from functory.lifecycle import running
from functory.store import cipher
from functory.store.sqlite import SqliteStore
from functory.testing.checks import samples

KILLS = 20
WRITERS = 8


def make(folder: Path) -> SqliteStore:
    return SqliteStore(folder / "x.db", clock=SystemClock(), cipher=cipher.from_key_file(folder / "data.key"))


async def write_for_ever(folder: Path, life: int) -> None:
    """The child: writes, and says on its standard output what was acknowledged."""
    async with running(store := make(folder)):

        async def write(writer: int) -> None:
            for number in range(1_000_000):
                name = f"f{life}_{writer}_{number}"
                await store.functions.create(samples.function(name))
                os.write(1, f"function {name}\n".encode())
                key = (life * WRITERS + writer) * 100_000 + number * 3
                batch = [samples.record(writer, key + each, name=f"g{each}") for each in range(3)]
                await store.requests.append(batch, [samples.log(writer, key)])
                os.write(1, f"batch {writer} {key}\n".encode())

        await asyncio.gather(*map(write, range(WRITERS)))


def killed_after(folder: Path, life: int, lines: int) -> list[str]:
    """What a child had acknowledged when it was killed, `lines` lines after it began, or a few more."""
    command = [sys.executable, __file__, str(folder), str(life)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        said = [child.stdout.readline() for _ in range(lines)]
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read()
    return [line for line in (b"".join(said) + rest).decode().split("\n")[:-1] if line]


async def test_what_was_acknowledged_is_there_after_kills_and_nothing_is_there_by_half(tmp_path: Path) -> None:
    chance = random.Random(7)
    acknowledged: list[str] = []
    for life in range(KILLS):
        said = await asyncio.to_thread(killed_after, tmp_path, life, chance.randrange(1, 200))
        assert said
        acknowledged += said
    async with running(store := make(tmp_path)):
        functions = {each.name for each in await store.functions.all()}
        requests = {each.request_id for each in await store.requests.list(samples.ACCOUNT, limit=10_000)}
        for line in acknowledged:
            kind, *words = line.split()
            if kind == "function":
                assert words[0] in functions
            else:
                writer, key = map(int, words)
                assert samples.request_id(writer, key) in requests
                assert len(await store.requests.logs(samples.request_id(writer, key))) == 1
        for request_id in requests:
            number = int(request_id[-12:], 16)
            whole = {f"{request_id[:-12]}{number - number % 100_000 % 3 + each:012x}" for each in range(3)}
            assert whole <= requests, "a batch is there by half"


if __name__ == "__main__":
    asyncio.run(write_for_ever(Path(sys.argv[1]), int(sys.argv[2])))
