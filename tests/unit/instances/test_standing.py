"""Which instances are the kept ones, and how long they were kept."""

from __future__ import annotations

from functory.instances.standing import NOTHING, Keep, Meter, mark, place
from functory.model.instance import InstanceState
from functory.model.usage import Mode

DEMAND, KEPT, ALWAYS = Mode.ON_DEMAND, Mode.PROVISIONED, Mode.ALWAYS


class One:
    """An instance."""

    def __init__(self, state: InstanceState = InstanceState.IDLE, mode: Mode = DEMAND) -> None:
        self.state = state
        self.mode = mode
        self.busy = 0


def modes(instances: list[One]) -> list[Mode]:
    return [one.mode for one in instances]


def test_the_oldest_that_can_run_something_are_the_kept_ones() -> None:
    found = [One(InstanceState.STARTING), One(), One(InstanceState.BUSY), One()]
    assert mark(found, Keep(2)) == 2
    assert modes(found) == [DEMAND, KEPT, KEPT, DEMAND]
    found[1].state = InstanceState.DEAD
    assert mark(found, Keep(2)) == 2
    assert modes(found) == [DEMAND, DEMAND, KEPT, KEPT]
    assert mark(found, Keep(9, always=True)) == 2
    assert modes(found) == [DEMAND, DEMAND, ALWAYS, ALWAYS]
    assert mark(found, NOTHING) == 0
    assert set(modes(found)) == {DEMAND}


def test_those_of_an_old_revision_are_kept_until_they_are_gone() -> None:
    found = [One(InstanceState.BUSY, KEPT), One(InstanceState.STOPPING, KEPT), One(InstanceState.BUSY)]
    assert mark(found, NOTHING, ending=True) == 2
    assert modes(found) == [KEPT, KEPT, DEMAND]


def test_one_made_on_demand_waits_below_those_that_are_kept() -> None:
    free = [One(), One(), One(mode=KEPT), One(mode=ALWAYS)]
    assert place(free) == 2
    assert place(free[2:]) == 0
    assert place([]) == 0


def test_kept_time_is_added_up_exactly_and_taken_once() -> None:
    meter = Meter()
    meter.note(1_000_000, 2, always=False)
    meter.note(3_500_000, 1, always=True)  # 5 ms so far
    assert meter.take_ms(4_400_000) == 5  # and 0.9
    assert meter.take_ms(4_500_000) == 1
    meter.note(4_500_000, 0, always=True)
    assert meter.take_ms(9_000_000_000) == 0


def test_what_qualifiers_of_one_version_want_adds_up() -> None:
    assert Keep(2).plus(Keep(3, always=True)) == Keep(5, None, always=True)
    assert Keep(2).plus(Keep(3, most=3)) == Keep(5, 5)
