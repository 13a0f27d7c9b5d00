"""The life cycle of an instance."""

from __future__ import annotations

import itertools

from functory.model.instance import MOVES, Exit, InstanceState


def test_the_moves_of_an_instance_are_closed_over_its_states() -> None:
    assert set(MOVES) == set(InstanceState)
    assert set(itertools.chain.from_iterable(MOVES.values())) <= set(InstanceState)


def test_every_state_may_die_and_the_dead_stay_dead() -> None:
    assert all(InstanceState.DEAD in after for state, after in MOVES.items() if state is not InstanceState.DEAD)
    assert MOVES[InstanceState.DEAD] == frozenset()


def test_every_state_can_be_reached_from_the_start_and_none_moves_to_itself() -> None:
    reached, news = set[InstanceState](), {InstanceState.STARTING}
    while news:
        reached |= news
        news = set(itertools.chain.from_iterable(MOVES[state] for state in news)) - reached
    assert reached == set(InstanceState)
    assert not any(state in after for state, after in MOVES.items())


def test_what_stops_takes_no_work_any_more() -> None:
    assert MOVES[InstanceState.STOPPING] == {InstanceState.DEAD}


def test_an_exit_is_told_by_signal_or_code() -> None:
    assert Exit(instance_id="c-1", code=3).describe() == "exit code 3"
    assert Exit(instance_id="c-1", signal=11).describe() == "signal 11"
