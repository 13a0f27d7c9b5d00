"""What is drawn: the facts must be in it, the layout may change."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console, RenderableType

from functory.cli import cost, demo, doctor, invoke, requests
from functory.cli.doctor import Level
from functory.sdk import Invoked, answers
from functory.sdk.cost import CostLine
from functory.sdk.requests import Cold, Request

WARM = Request(
    request_id="1-65a77fbb-157f3f32-000000000002", function_name="thumbnail", qualifier="LATEST", revision=3,
    status="ok", started_at_ms=1_795_446_000_000, instance_id="c-1", queued_us=41, duration_us=8_880, billed_ms=9,
    memory_limit_mb=512, memory_peak_bytes=40 << 20, cpu_us=1702, cost_nano_usd=153, payload_bytes=12, reply_bytes=2048,
)  # fmt: skip
COLD = Request(
    request_id="1-65a77fbb-157f3f32-000000000001", function_name="thumbnail", status="function_error",
    error_type="UnhandledInvocationError", queued_us=3_000, duration_us=1_000, billed_ms=1, memory_limit_mb=512,
    cold=Cold(fork_us=2_000, import_us=900, init_us=0),
)  # fmt: skip


def drawn(what: RenderableType, width: int = 160) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(what)
    return captured.get()


def row(text: str, word: str) -> str:
    return next(line for line in text.splitlines() if word in line)


def test_the_list_of_requests_tells_cold_from_warm_and_names_outcome_and_cost() -> None:
    text = drawn(requests.listed([COLD, WARM], 160))
    assert "warm" in row(text, WARM.request_id)
    assert "15.3 µ¢" in row(text, WARM.request_id)
    assert "function error" in row(text, COLD.request_id)
    assert "cold" in row(text, COLD.request_id)


def test_a_following_list_keeps_its_columns_in_place() -> None:
    lines = [drawn(requests.listed([one], 160, grows=True, header=False)) for one in (WARM, COLD)]
    assert lines[0].index(WARM.request_id) == lines[1].index(COLD.request_id)


def test_a_narrow_list_leaves_columns_out_and_never_cuts_a_request_id() -> None:
    for width in (80, 100, 120):
        text = drawn(requests.listed([COLD, WARM], width), width=width)
        assert "…" not in text
        assert "8.88 ms" in row(text, WARM.request_id)


def test_the_waterfall_has_a_bar_per_part_each_where_the_last_one_ended() -> None:
    text = drawn(requests.waterfall(COLD))
    bars = {name: row(text, name) for name in ("queue", "fork", "import", "init", "run")}
    assert bars["fork"].count("━") == requests.BAR_WIDTH / 2
    assert bars["init"].count("━") == 0
    assert bars["fork"].rindex("━") < bars["import"].index("━") <= bars["run"].index("━")
    assert "4.00 ms" in text


def test_a_part_too_short_for_a_bar_still_leaves_a_mark() -> None:
    assert "╸" in row(drawn(requests.waterfall(WARM)), "queue")


def test_a_warm_waterfall_has_no_parts_of_a_cold_start() -> None:
    assert "fork" not in drawn(requests.waterfall(WARM))


def shot(record: Request) -> demo.Shot:
    return demo.Shot(
        photo=Path("astronaut.png"), when="first", taken_from=(512, 512), made=(256, 256), bytes_in=791_555,
        bytes_out=14_000, record=record,
    )  # fmt: skip


def test_the_demo_table_has_every_part_in_a_row() -> None:
    text = drawn(demo.table([shot(COLD), shot(WARM)], 125), width=125)
    cold = row(text, "cold")
    for fact in ("astronaut", "512×512 → 256×256", "773 → 14", "first", "2.0", "0.90", "1 ms"):
        assert fact in cold
    assert "40.0" in row(text, "warm")


def test_a_narrow_demo_table_leaves_columns_out_and_never_cuts_a_number() -> None:
    for width in (80, 100, 120):
        text = drawn(demo.table([shot(COLD), shot(WARM)], width), width=width)
        assert "…" not in text
        assert max(len(line.rstrip()) for line in text.splitlines()) <= width
        assert "15.3 µ¢" in row(text, "warm")


def test_the_bill_sets_the_calls_beside_a_month_of_an_instance() -> None:
    text = demo.bill([shot(WARM), shot(WARM)]).plain
    assert "2 calls cost 30.6 µ¢" in text
    assert "$22.03 a month" in text


def test_the_summary_of_a_call_says_what_it_took_and_cost() -> None:
    answer = Invoked(status=200, payload=b"", request_id="1-a", duration_ms=1.5, memory_mb=12.5)
    assert invoke.summary(answer, WARM).plain.startswith("warm · 8.88 ms · billed 9 ms · 40.0 of 512 MB · 15.3 µ¢")
    assert "cold · 1.00 ms + start 2.90 ms" in invoke.summary(answer, COLD).plain
    assert invoke.summary(answer, None).plain == "1.50 ms · 12.5 MB · 1-a"


def test_a_stack_is_printed_in_whichever_form_the_runtime_sends_it() -> None:
    frame = 'File "/code/index.py", line 3, in handler'
    assert invoke.stack_lines([f"  {frame}\n    1/0\n"]) == [f"  {frame}", "    1/0"]
    assert invoke.stack_lines([[frame, "1/0"]]) == [frame, "  1/0"]
    assert invoke.stack_lines(f"{frame}\n") == [frame]
    assert invoke.stack_lines(None) == []
    unmounted = f'File "/srv/.functory/code/{"8a" * 32}/lib/index.py", line 3'
    assert invoke.stack_lines([unmounted]) == ['File "/code/lib/index.py", line 3']


def test_the_doctor_warns_of_weak_isolation_and_names_what_is_missing() -> None:
    weak = doctor.isolation(answers.Tier(name="C", summary="no namespaces", missing=["user namespaces", "cgroups"]))
    assert (weak.level, weak.do) == (Level.WARN, "missing: user namespaces\nmissing: cgroups")
    assert doctor.isolation(answers.Tier(name="A1", summary="all")).level is Level.OK


def test_the_doctor_tells_how_far_the_clocks_are_apart() -> None:
    now_s = 1_795_446_000
    assert doctor.skew(now_s, now_s + 0.9).level is Level.OK
    behind = doctor.skew(now_s - 120, now_s)
    assert (behind.level, "2 min 0 s behind" in behind.says) == (Level.WARN, True)
    assert doctor.skew(now_s + 3600, now_s).level is Level.FAIL
    assert doctor.skew(0, now_s).level is Level.OK


def test_the_doctor_groups_runtimes_by_interpreter_and_fails_without_any() -> None:
    def runtime(name: str, note: str = "", interpreter: str = "/usr/bin/python3.11") -> answers.Runtime:
        return answers.Runtime(name=name, interpreter=interpreter, version="3.11.2", note=note)

    found = list(doctor.runtimes(answers.Node(runtimes=[runtime("python3"), runtime("python3.9", "stands in")])))
    assert [(check.says, check.do) for check in found] == [("python3: /usr/bin/python3.11 (3.11.2)", "stands in")]
    [none] = doctor.runtimes(answers.Node(runtimes=[runtime("python3", interpreter="")]))
    assert none.level is Level.FAIL


def test_a_statement_names_each_line_in_words_and_sums_up() -> None:
    lines = [
        CostLine(function_name="thumbnail", line="onDemand", calls=1200, failed=3, billed_ms=90, cost_nano_usd=150),
        CostLine(function_name="thumbnail", line="standing", instance_ms=7_200_000, cost_nano_usd=10_800_000),
    ]
    text = drawn(cost.statement(lines, 160))
    assert "1,200" in row(text, "calls on demand")
    assert "2 h 0 min" in row(text, "kept ready")
    assert text.splitlines()[-1].split() == ["all", "1.08", "¢"]
    assert "< 1 ms" in text, "processor time is told in whole milliseconds"
    assert "COST" in drawn(cost.statement(lines, 50))
