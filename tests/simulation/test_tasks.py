"""Seeds of a hostile world, lived through; and proof that its laws notice what they are for.

10,000 worlds: half of them the same in every run, half fresh, from the number that orders the tests and is printed with
them. `SIMULATION_SEEDS` says how many; all processors work on them. A world that breaks a law says how to live in it
again.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from functory.queue.flights import Flights
from functory.queue.sqlite import rows
from functory.tasks.accept import Accept, Accepted
from functory.tasks.settle import Settle
from functory.testing import simulation

SEEDS = int(os.environ.get("SIMULATION_SEEDS", "10000"))
FRESH_FROM = 1_000_000
"""Fixed seeds are smaller than the fresh ones of any run."""


@pytest.mark.timeout(1800)
def test_no_task_is_lost_no_end_changes_and_every_end_is_told_once(
    pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    base = FRESH_FROM * (1 + pytestconfig.getoption("randomly_seed"))
    begin = time.monotonic()
    said = live_through([(0, SEEDS // 2), (base, SEEDS - SEEDS // 2)])
    lasted_s = time.monotonic() - begin
    with capsys.disabled():
        sys.stdout.write(f"\n{SEEDS} worlds lived through in {lasted_s:.0f} s; the fresh ones begin with seed {base}\n")
    assert not said, said


def live_through(ranges: list[tuple[int, int]]) -> str:
    """What broke in these worlds, each range given by its first seed and how many; a process per processor."""
    workers = len(os.sched_getaffinity(0))
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "functory.testing.simulation", str(first + worker),
             "--count", str(count - worker), "--step", str(workers)],
            stdout=subprocess.PIPE, text=True,
        )
        for first, count in ranges
        for worker in range(workers)
    ]  # fmt: skip
    try:
        said = "".join(one.communicate()[0] for one in running)
    finally:
        for one in running:  # whoever interrupts the test does not want them to go on
            one.kill()
    codes = [one.returncode for one in running]
    return said if any(codes) else ""


def test_a_world_that_breaks_a_law_says_how_to_live_in_it_again() -> None:
    code = """
import sys
from functory.queue.sqlite import rows
rows.SQL["lease"] = rows.SQL["lease"].replace("LIMIT :count", "LIMIT :count + 2")
from functory.testing.simulation.__main__ import main
sys.exit(main(["0", "--count", "40"]))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "slots" in ended.stdout
    assert re.search(r"^  python -m functory.testing.simulation \d+$", ended.stdout, re.MULTILINE), ended.stdout


def test_a_seed_runs_the_same_way_in_every_process() -> None:
    code = "import logging; logging.disable(50); from functory.testing import simulation; print(simulation.run(3))"
    runs = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": salt}, capture_output=True, check=True
        ).stdout
        for salt in ("1", "2")
    }
    assert len(runs) == 1


def test_a_world_without_faults_is_kind_to_everybody() -> None:
    simulation.run(
        1, simulation.Faults(lives=1, crash=0, ghost=0, full=0, stall=0, suspend=0, twice=0, stop=0, clock=0)
    )


# --- the laws can be broken -------------------------------------------------------------------------------------------


@pytest.fixture
def sql() -> Iterator[dict[str, str]]:
    """The queue's queries, to be changed for one test."""
    queries: Any = rows.SQL
    kept = dict(queries)
    yield queries
    queries.clear()
    queries.update(kept)


def _some_seed_breaks(law: str) -> None:
    for seed in range(400):
        try:
            simulation.run(seed)
        except simulation.Broken as broken:
            noticed = str(broken)
            break
    else:
        raise AssertionError("no seed noticed")
    assert re.search(law, noticed), noticed


def test_an_end_that_is_not_fenced_by_the_state_is_noticed(sql: dict[str, str]) -> None:
    sql["end"] = sql["end"].replace("AND (1 << state) & ?", "AND ? IS NOT NULL")
    _some_seed_breaks("ghost changed|the end of row|attempts")


def test_an_end_that_is_not_fenced_by_the_epoch_is_noticed(sql: dict[str, str]) -> None:
    sql["end"] = sql["end"].replace("AND epoch = ?", "AND ? IS NOT NULL")
    _some_seed_breaks("a ghost changed a row")


def test_a_lease_that_does_not_count_is_noticed(sql: dict[str, str]) -> None:
    sql["lease"] = sql["lease"].replace("epoch = epoch + 1, ", "")
    _some_seed_breaks("a ghost changed a row")


def test_a_lease_over_the_limit_is_noticed(sql: dict[str, str]) -> None:
    sql["lease"] = sql["lease"].replace("LIMIT :count", "LIMIT :count + 2")
    _some_seed_breaks("slots")


def test_an_answer_before_the_commit_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    put = Accept._put

    def answer_first(self: Accept, batch: Any) -> None:
        for item, future in batch:
            if not future.done():
                future.set_result(Accepted(item.key, item.request_id, 0))
        put(self, batch)

    monkeypatch.setattr(Accept, "_put", answer_first)
    _some_seed_breaks("is lost")


def test_an_end_without_its_record_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    delivery = Settle._delivery
    monkeypatch.setattr(Settle, "_delivery", lambda self, row, to: () if row.crashes else delivery(self, row, to))
    _some_seed_breaks("its destination")


def test_a_sweep_that_takes_what_is_in_hand_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The node stood still for some leases: what its instances have answered meanwhile must not run again."""
    monkeypatch.setattr(Flights, "__contains__", lambda *_: False)
    monkeypatch.setattr(Flights, "beat", lambda _: None)
    _some_seed_breaks("run again")
