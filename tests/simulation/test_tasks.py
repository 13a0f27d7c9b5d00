"""Seeds of a hostile world, lived through; and proof that its laws notice what they are for.

`SIMULATION_SEEDS=10000` lives through more of them (`./dev test simulation` does).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from functory.queue.sqlite import rows
from functory.tasks.accept import Accept, Accepted
from functory.tasks.settle import Settle
from functory.testing import simulation

SEEDS = int(os.environ.get("SIMULATION_SEEDS", "200"))
CHUNK = 25


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_task_is_lost_no_end_changes_and_every_end_is_told_once(first: int) -> None:
    for seed in range(first, min(first + CHUNK, SEEDS)):
        simulation.run(seed)


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
    simulation.run(1, simulation.Faults(lives=1, crash=0, ghost=0, full=0, stall=0, twice=0, stop=0, clock=0))


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
