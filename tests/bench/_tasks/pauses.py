"""What stopped a node while it was measured: collections of garbage, and a loop that was late."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

PROBE = Path(__file__).parent / "probe"
OURS_PART = 0.5
"""A pause of which the thread ran for this part is our own doing; else the machine was busy with something else."""


class Pause(NamedTuple):
    """One of 5 ms or more."""

    kind: str
    """`gc` or `late`."""
    ms: float
    ran_ms: float
    """For how long of it the loop's thread had a processor."""


class Pauses:
    """Notes of one node."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "pauses"
        self.environment = {"PYTHONPATH": str(PROBE), "PAUSES_FILE": str(self._file)}

    def taken(self) -> list[Pause]:
        """What was noted since the last time."""
        if not self._file.exists():
            return []
        lines = self._file.read_text().splitlines()
        self._file.write_text("")
        return [Pause(kind, float(ms), float(ran)) for kind, ms, ran in (line.split() for line in lines)]


def told(found: list[Pause]) -> str:
    """A sentence."""
    if not found:
        return "the loop was never 5 ms late"
    collected = [one.ms for one in found if one.kind == "gc"]
    late = [one for one in found if one.kind == "late"]
    ours = [one.ms for one in late if one.ran_ms >= OURS_PART * one.ms]
    others = [one.ms for one in late if one.ran_ms < OURS_PART * one.ms]
    return "; ".join(
        f"{len(times)} × {what}, longest {max(times):.0f} ms"
        for what, times in (
            ("garbage collected", collected),
            ("late by our own work", ours),
            ("late for want of a processor", others),
        )
        if times
    )
