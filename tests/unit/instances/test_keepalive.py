"""The simulation of keeping instances: traces, and rules whose results can be worked out by hand."""

from __future__ import annotations

import random

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from functory.cli import made_up
from functory.cli.main import functory
from functory.instances.keepalive import rules, trace
from functory.instances.keepalive.simulate import run
from functory.instances.keepalive.trace import Call
from functory.model import errors


def calls_at(*times_s: float, name: str = "f", memory_mb: float = 100.0, cold_ms: float = 50.0) -> list[Call]:
    return [Call(name, at_s, 1.0, memory_mb, cold_ms) for at_s in times_s]


def test_a_trace_is_read_in_order_of_time_with_a_default_for_the_start() -> None:
    found = trace.read(["function,timestamp,duration,memory,cold ms\n", "b,20,500,64\n", "\n", "a, 10.5, 1, 2, 30\n"])
    assert found == [Call("a", 10.5, 0.001, 2.0, 30.0), Call("b", 20.0, 0.5, 64.0, trace.DEFAULT_COLD_MS)]


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        (["a,1,2\n"], "line 1: 3 fields instead of 4 or 5"),
        (["a,1,2,3\n", "a,x,2,3\n"], "line 2: timestamp 'x' is not a number"),
        (["a,1,-2,3\n"], "line 1: duration -2 is not between 0 and 8.64e+07"),
        (["a,1,2,nan\n"], "line 1: memory nan is not between"),
        (["a,1,2,3,inf\n"], "line 1: cold ms inf is not between"),
        ([",1,2,3\n"], "line 1: the name has 0 letters"),
        (["function,timestamp,duration,memory\n"], "the trace has no calls"),
    ],
)
def test_a_wrong_line_is_named_with_what_is_wrong(lines: list[str], what: str) -> None:
    with pytest.raises(errors.InvalidArgument) as failure:
        trace.read(lines)
    assert what in str(failure.value)


def test_ten_minutes_are_ten_minutes() -> None:
    found = run(calls_at(0, 600, 1202), rules.Fixed())
    assert (found.calls, found.cold_starts) == (3, 2)
    assert found.wasted_gb_s == pytest.approx((598.5 + 600) * 100 / 1024, abs=0.2)


def test_ours_lets_go_after_its_time_and_expects_who_comes_as_by_a_clock() -> None:
    assert run(calls_at(0, 100, 400), rules.Ours(180)).cold_starts == 2
    assert run(calls_at(0, 100, 400, cold_ms=500.0), rules.Ours(180)).cold_starts == 1, "a dear start is kept longer"
    hourly = run(calls_at(*(3600.0 * number for number in range(24))), rules.Ours(180))
    assert hourly.cold_starts == 5, "four idle times make a habit"
    fixed = run(calls_at(*(3600.0 * number for number in range(24))), rules.Fixed())
    assert (fixed.cold_starts, hourly.wasted_gb_s < 1.6 * fixed.wasted_gb_s) == (24, True)


def test_lru_keeps_what_fits_and_lets_the_longest_idle_go() -> None:
    load = sorted(
        calls_at(0, 40, name="a") + calls_at(10, 50, name="b") + calls_at(20, name="c"), key=lambda call: call.at_s
    )
    assert run(load, rules.LeastRecentlyUsed(), 300).cold_starts == 3
    assert run(load, rules.LeastRecentlyUsed(), 200).cold_starts == 5
    assert run(load, rules.Optimum(), 200).cold_starts == 4


def test_the_optimum_holds_nothing_that_is_not_used_again() -> None:
    assert run(calls_at(0), rules.Optimum()).wasted_gb_s == 0
    assert run([*calls_at(0), *calls_at(900, name="g")], rules.Optimum()).wasted_gb_s == pytest.approx(0, abs=1e-3)


def test_calls_at_once_need_an_instance_each() -> None:
    assert run(calls_at(0, 0.1, 0.2, 60), rules.Fixed()).cold_starts == 3


def test_the_made_up_load_is_the_same_for_the_same_seed() -> None:
    one, two = (made_up.load(20, 2, random.Random(7)) for _ in range(2))
    assert one == two != made_up.load(20, 2, random.Random(8))


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 5000)), min_size=1, max_size=40), st.integers(0, 400))
def test_no_rule_holds_more_than_it_may_or_loses_a_call(load: list[tuple[str, float]], bound_mb: int) -> None:
    calls = sorted((Call(name, at_s, 0.5, 50.0, 9.0) for name, at_s in load), key=lambda call: call.at_s)
    for rule in (rules.Ours(180), rules.Fixed(), rules.LeastRecentlyUsed(), rules.Optimum()):
        found = run(calls, rule, bound_mb)
        assert found.calls == len(calls)
        assert len({call.function for call in calls}) <= found.cold_starts <= len(calls)
        assert 0 <= found.wasted_gb_s <= found.memory_gb_s
    assert run(calls, rules.Optimum()).cold_starts <= run(calls, rules.Fixed()).cold_starts


def test_the_command_prints_all_rules_and_json_and_names_a_wrong_line(tmp_path: object) -> None:
    runner = CliRunner()
    shown = runner.invoke(functory, ["simulate", "keepalive", "--synthetic", "10", "--hours", "1"])
    assert shown.exit_code == 0
    for name in ("functory", "fixed 10 minutes", "LRU", "offline optimum"):
        assert name in shown.output
    as_json = runner.invoke(functory, ["simulate", "keepalive", "-", "--json"], input="a,1,2,3\na,2,3,4\n")
    assert '"cold_starts": 1' in as_json.output or '"cold_starts":1' in as_json.output
    assert runner.invoke(functory, ["simulate", "keepalive"]).exit_code == 2
    wrong = runner.invoke(functory, ["simulate", "keepalive", "-"], input="a,1,2\n")
    assert "line 1" in str(wrong.exception)
