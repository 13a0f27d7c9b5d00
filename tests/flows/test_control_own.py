"""Functory's own API, as docs/functory-api.md says."""

from __future__ import annotations

from typing import Any

import pytest

import control_kit as kit
from control_kit import problem_of
from functory.control.functory import transcript
from functory.model.invocation import Kind, Status
from functory.model.record import LogLines, Record
from functory.model.spending import HOUR_MS, Line, Spent, hour_of
from functory.model.usage import ColdStart, Mode

OWN = "/functory/v1"


def request_id(n: int) -> str:
    return f"1-65a77fbb-157f3f32-{n:012x}"


def record(
    n: int,
    *,
    function: str = "echo",
    status: Status = Status.OK,
    account: str = kit.ACCOUNT,
    mode: Mode = Mode.ON_DEMAND,
) -> Record:
    return Record(
        request_id=request_id(n),
        account_id=account,
        function_name=function,
        qualifier="LATEST",
        epoch=3,
        kind=Kind.SYNC,
        started_at_ms=1_705_475_003_000,
        status=status,
        error_type="" if status is Status.OK else "UnhandledInvocationError",
        instance_id="c-1",
        queued_us=41,
        duration_us=16_810,
        billed_ms=17,
        memory_limit_mb=128,
        memory_peak_bytes=54_861_496,
        cpu_us=1702,
        cold=ColdStart(fork_us=2100, import_us=800) if n == 1 else None,
        cost_nano_usd=153,
        payload_bytes=12,
        reply_bytes=13,
        mode=mode,
    )


def printed(n: int, text: bytes) -> LogLines:
    return LogLines(
        request_id=request_id(n), function_name="echo", at_ms=1_705_475_003_000 + n, text=text, account_id=kit.ACCOUNT
    )


async def test_health_tells_the_version_and_how_strong_the_isolation_is(control: kit.Control) -> None:
    response = await control.call("GET", "/healthz", key=None)
    assert response.json() == {
        "status": "ok",
        "version": "0.1.0",
        "tier": {"name": "A", "summary": "all shut", "missing": []},
    }
    assert response.headers["x-fc-request-id"]


async def test_the_node_tells_what_it_is(control: kit.Control) -> None:
    version = (await control.call("GET", f"{OWN}/version")).json()
    assert version["apis"] == ["2023-03-30", "functory/v1"]
    assert set(version) == {"version", "python", "apis"}
    node = (await control.call("GET", f"{OWN}/node")).json()
    assert (node["region"], node["accountId"]) == ("local", kit.ACCOUNT)
    assert set(node) == {"version", "region", "accountId", "tier", "uptimeS", "instances", "runtimes", "limits"}


async def test_a_request_is_shown_with_all_that_is_known(control: kit.Control) -> None:
    await control.store.requests.append([record(1), record(2, status=Status.FUNCTION_ERROR)], [])
    assert (await control.call("GET", f"{OWN}/requests/{request_id(1)}")).json() == {
        "requestId": request_id(1),
        "functionName": "echo",
        "qualifier": "LATEST",
        "revision": 3,
        "kind": "sync",
        "startedAtMs": 1_705_475_003_000,
        "status": "ok",
        "errorType": "",
        "instanceId": "c-1",
        "queuedUs": 41,
        "durationUs": 16_810,
        "billedMs": 17,
        "memoryLimitMb": 128,
        "memoryPeakBytes": 54_861_496,
        "cpuUs": 1702,
        "cold": {"forkUs": 2100, "importUs": 800, "initUs": 0, "templateUs": 0},
        "costNanoUsd": 153,
        "payloadBytes": 12,
        "replyBytes": 13,
        "traceParent": "",
        "resourceMode": "OnDemand",
        "oomKills": 0,
        "networkInBytes": 0,
        "networkOutBytes": 0,
    }
    warm = (await control.call("GET", f"{OWN}/requests/{request_id(2)}")).json()
    assert (warm["cold"], warm["status"], warm["errorType"]) == (None, "function_error", "UnhandledInvocationError")


async def test_requests_are_listed_newest_first_page_by_page(control: kit.Control) -> None:
    records = [record(n, status=Status.OK if n % 2 else Status.TIMEOUT) for n in range(1, 6)]
    await control.store.requests.append([*records, record(9, account="other")], [])

    async def page(*query: tuple[str, str]) -> tuple[list[int], str]:
        shown = (await control.call("GET", f"{OWN}/requests", query=query)).json()
        return [int(one["requestId"][-12:], 16) for one in shown["requests"]], shown["nextBefore"]

    assert await page() == ([5, 4, 3, 2, 1], "")
    assert await page(("limit", "2")) == ([5, 4], request_id(4))
    assert await page(("limit", "2"), ("before", request_id(4))) == ([3, 2], request_id(2))
    assert await page(("limit", "2"), ("before", request_id(2))) == ([1], "")
    assert await page(("failed", "true")) == ([4, 2], "")
    assert await page(("function", "other")) == ([], "")


@pytest.mark.parametrize(
    ("path", "query", "said"),
    [
        ("/requests", [("limit", "0")], "limit 0"),
        ("/requests", [("limit", "1001")], "1 to 1000"),
        ("/requests", [("before", "yesterday")], "before 'yesterday' is not a request id"),
        ("/requests", [("function", "1x")], "functionName '1x'"),
        ("/requests", [("failed", "maybe")], "$.failed"),
        ("/requests", [("newest", "1")], "'newest' is not known here; known: before, failed, function, limit"),
        ("/requests", [("limit", "1"), ("limit", "2")], "'limit' is given twice"),
        ("/requests/yesterday", [], "is not a request id"),
        ("/functions/echo/logs", [("after", "x")], "after 'x'"),
        ("/functions/echo/logs", [("limit", "x")], "$.limit"),
        ("/node", [("x", "1")], "known: none"),
        ("/version", [("x", "1")], "known: none"),
    ],
)
async def test_wrong_parameters_are_refused_by_name(
    control: kit.Control, path: str, query: list[tuple[str, str]], said: str
) -> None:
    await control.create()
    status, code, message = problem_of(await control.call("GET", OWN + path, query=query))
    assert (status, code) == (400, "InvalidArgument")
    assert said in message


async def test_a_request_of_another_account_or_none_is_not_found(control: kit.Control) -> None:
    await control.store.requests.append([record(1)], [printed(1, b"secret\n")])
    for path in (f"{OWN}/requests/{request_id(1)}", f"{OWN}/requests/{request_id(1)}/logs"):
        assert problem_of(await control.call("GET", path, key=kit.STRANGER))[:2] == (404, "RequestNotFound")
    assert problem_of(await control.call("GET", f"{OWN}/requests/{request_id(7)}"))[:2] == (404, "RequestNotFound")


async def test_the_log_of_a_request_lies_between_the_lines_of_the_platform(control: kit.Control) -> None:
    await control.store.requests.append(
        [record(1), record(2, status=Status.FUNCTION_ERROR)], [printed(1, b"one\n"), printed(1, b"two \xff")]
    )
    shown = (await control.call("GET", f"{OWN}/requests/{request_id(1)}/logs")).json()
    assert shown == {
        "requestId": request_id(1),
        "text": (
            f"FC Invoke Start RequestId: {request_id(1)}\n"
            "one\n"
            "two �\n"
            f"FC Invoke End RequestId: {request_id(1)}\n"
            "Duration: 16.81 ms, Billed Duration: 17 ms, Memory Size: 128 MB, Max Memory Used: 52.32 MB\n"
        ),
    }
    failed = (await control.call("GET", f"{OWN}/requests/{request_id(2)}/logs")).json()["text"]
    assert f"FC Invoke End RequestId: {request_id(2)}, Error: Unhandled function error\n" in failed


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
def test_every_bad_end_is_said_on_the_end_line(status: Status) -> None:
    assert transcript.end_line("1-x", status).startswith("FC Invoke End RequestId: 1-x, Error: ")


async def test_the_logs_of_a_function_come_oldest_first(control: kit.Control) -> None:
    await control.create()
    await control.store.requests.append(
        [record(n) for n in (1, 2, 3)], [printed(n, b"line %d\n" % n) for n in (1, 2, 3)]
    )
    path = f"{OWN}/functions/echo/logs"
    shown = (await control.call("GET", path)).json()["entries"]
    assert shown[0] == {"requestId": request_id(1), "atMs": 1_705_475_003_001, "text": "line 1\n"}
    assert [entry["text"] for entry in shown] == ["line 1\n", "line 2\n", "line 3\n"]
    newest = (await control.call("GET", path, query=[("limit", "1")])).json()["entries"]
    assert [entry["text"] for entry in newest] == ["line 3\n"]
    between = [("after", request_id(1)), ("before", request_id(3))]
    assert [one["text"] for one in (await control.call("GET", path, query=between)).json()["entries"]] == ["line 2\n"]
    stranger = await control.call("GET", path, key=kit.STRANGER)
    assert problem_of(stranger)[:2] == (404, "FunctionNotFound")


async def test_a_call_token_is_made_for_some_functions_or_all(control: kit.Control) -> None:
    made = (await control.call("POST", f"{OWN}/tokens", json={"functions": ["echo"], "expiresInSeconds": 60})).json()
    assert made["expiresAtMs"] == control.clock.now_ms() + 60_000
    assert control.tokens.check(made["token"]).functions == frozenset({"echo"})
    every = (await control.call("POST", f"{OWN}/tokens", json={}, key=kit.DEPLOYER)).json()
    assert every["expiresAtMs"] == control.clock.now_ms() + 3_600_000
    assert control.tokens.check(every["token"]).functions is None
    assert problem_of(await control.call("POST", f"{OWN}/tokens", json={}, key=kit.READER))[1] == "AccessDenied"
    bearer = {"authorization": f"Bearer {every['token']}"}
    refused = await control.call("GET", "/2023-03-30/functions", key=None, headers=bearer)
    assert refused.status_code == 403


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"expiresInSeconds": 0}, "1 to 604800"),
        ({"expiresInSeconds": 604801}, "1 to 604800"),
        ({"expiresInSeconds": "60"}, "$.expiresInSeconds"),
        ({"functions": []}, "null means all"),
        ({"functions": ["f"] * 51}, "names 51"),
        ({"functions": ["1x"]}, "functionName '1x'"),
        ({"functions": "echo"}, "$.functions"),
        ({"scope": "admin"}, "unknown field `scope`"),
    ],
)
async def test_a_wrong_wish_for_a_token_is_refused(control: kit.Control, given: object, said: str) -> None:
    status, code, message = problem_of(await control.call("POST", f"{OWN}/tokens", json=given))
    assert (status, code) == (400, "InvalidArgument")
    assert said in message


async def test_a_layer_is_installed_once_and_can_be_used_by_its_name(control: kit.Control) -> None:
    wish = {"requirements": "pillow==12.0\n", "runtime": "python3"}
    first = (await control.call("POST", f"{OWN}/layers", json=wish)).json()
    again = (await control.call("POST", f"{OWN}/layers", json=wish)).json()
    assert set(first) == {"arn", "digest", "sizeBytes", "built", "seconds"}
    assert (first["built"], again["built"], again["arn"]) == (True, False, first["arn"])
    assert (await control.create(layers=[first["arn"]])).json()["layers"][0]["arn"] == first["arn"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"requirements": "", "runtime": "python3"}, "requirements has 0 bytes"),
        ({"requirements": "x" * 65537, "runtime": "python3"}, "65536 are allowed"),
        ({"requirements": "x", "runtime": "cobol"}, "'cobol'"),
        ({"requirements": "x"}, "runtime"),
        ({"requirements": "x", "runtime": "python3", "index": "x"}, "unknown field `index`"),
    ],
)
async def test_a_wrong_wish_for_a_layer_is_refused(control: kit.Control, given: object, said: str) -> None:
    status, code, message = problem_of(await control.call("POST", f"{OWN}/layers", json=given))
    assert (status, code) == (400, "InvalidArgument")
    assert said in message


async def test_a_link_to_code_that_is_lost_says_so(control: kit.Control) -> None:
    await control.create()
    shown = (await control.call("GET", "/2023-03-30/functions/echo/code")).json()
    control.code.archives.clear()
    target = shown["url"].removeprefix(f"http://{kit.HOST}")
    assert problem_of(await control.client.get(target))[:2] == (500, "StorageCorrupt")


async def test_the_statement_sums_whole_hours_by_function_and_line(control: kit.Control) -> None:
    await control.store.requests.append(
        [record(1), record(2, status=Status.TIMEOUT), record(3, mode=Mode.PROVISIONED)], []
    )
    at_ms = record(1).started_at_ms
    of: dict[str, Any] = {
        "account_id": kit.ACCOUNT,
        "line": Line.STANDING,
        "hour_ms": hour_of(at_ms),
        "instance_ms": 3000,
    }
    await control.store.spending.add([Spent(function_name=name, cost_nano_usd=9, **of) for name in ("echo", "other")])
    hours = [("fromMs", str(at_ms)), ("untilMs", str(at_ms + 1))]
    shown = (await control.call("GET", f"{OWN}/cost", query=[*hours, ("limit", "1")])).json()
    assert (shown["fromMs"], shown["untilMs"]) == (hour_of(at_ms), hour_of(at_ms) + HOUR_MS)
    assert [(one["functionName"], one["line"]) for one in shown["lines"]] == [
        ("echo", "onDemand"),
        ("echo", "provisioned"),
        ("echo", "standing"),
    ]
    assert shown["lines"][0] == {
        "functionName": "echo",
        "line": "onDemand",
        "calls": 2,
        "failed": 1,
        "billedMs": 34,
        "cpuMs": 3,
        "instanceMs": 0,
        "costNanoUsd": 306,
    }
    assert (shown["costNanoUsd"], shown["nextAfter"]) == (306 + 153 + 9, "echo")
    rest = (await control.call("GET", f"{OWN}/cost", query=[*hours, ("after", "echo")])).json()
    assert [one["functionName"] for one in rest["lines"]] == ["other"]
    assert (await control.call("GET", f"{OWN}/cost", query=hours, key=kit.STRANGER)).json()["lines"] == []
    assert (await control.call("GET", f"{OWN}/cost")).json()["lines"] == [], "the last 30 days only"


@pytest.mark.parametrize(
    "query",
    [
        [("limit", "0")],
        [("limit", "1001")],
        [("fromMs", "5"), ("untilMs", "5")],
        [("fromMs", str(1 << 70))],
        [("fromMs", "x")],
        [("function", "../x")],
        [("colour", "red")],
    ],
)
async def test_a_statement_that_cannot_be_is_refused(control: kit.Control, query: list[tuple[str, str]]) -> None:
    assert problem_of(await control.call("GET", f"{OWN}/cost", query=query))[:2] == (400, "InvalidArgument")
