"""Tasks over the control API: the three official operations, and what we have beside them."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

import control_kit as kit
from control_kit import problem_of
from functory.blob.memory import MemoryBlob
from functory.control.app import create_app
from functory.model import errors, ids
from functory.model.invocation import Invocation, Outcome, Pending, Status
from functory.model.task import AsyncConfig
from functory.queue.memory import MemoryQueue
from functory.sinks.base import Delivery, Kind, Undeliverable
from functory.tasks.accept import Accepted, Submission
from functory.tasks.service import TaskService
from functory.testing.configs import MemoryConfigs

TASKS = "/2023-03-30/functions/echo/async-tasks"
OWN = "/functory/v1/functions/echo/tasks"


class Refusing:
    """A sink that takes nothing until it is told to."""

    def __init__(self) -> None:
        self.taken: list[Delivery] = []
        self.open = False

    async def start(self) -> None:
        """Nothing."""

    async def stop(self) -> None:
        """Nothing."""

    async def deliver(self, delivery: Delivery) -> None:
        if not self.open:
            raise Undeliverable("nobody lives there")
        self.taken.append(delivery)


class Desk(kit.Control):
    """A control API with tasks, whose function runs when the test says so."""

    async def start(self) -> None:
        await self.store.start()
        await self.create()
        self.running: list[tuple[Invocation, Pending]] = []
        self.sink = Refusing()
        self.queue = MemoryQueue(clock=self.clock)
        blob = MemoryBlob()
        await blob.start()
        await self.queue.start()
        self.service = TaskService(
            self.queue,
            blob,
            invoke=self.invoke,
            sinks={Kind.HTTP: self.sink},
            stored_configs=MemoryConfigs(),
            check_function=lambda *_: None,
            new_request_id=self.parts.new_request_id,
            chance=lambda: 0.0,
            clock=self.clock,
            node="n",
            incarnation="1",
        )
        await self.service.start()
        parts = dataclasses.replace(
            self.parts, tasks=self.service.tasks, delivery_secret=lambda account: f"of {account}"
        )
        self.app = create_app(parts)
        await self.client.aclose()
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=f"http://{kit.HOST}")

    async def stop(self) -> None:
        for _, pending in self.running:
            pending.resolve(Outcome(status=Status.OK))
        await self.service.stop()
        await self.queue.stop()
        await self.client.aclose()

    def invoke(self, invocation: Invocation) -> Pending:
        pending = Pending()
        self.running.append((invocation, pending))
        return pending

    async def submit(self, task_id: str = "", **fields: Any) -> Accepted:
        return await self.service.submit(
            Submission(account_id=kit.ACCOUNT, function_name="echo", task_id=task_id, **fields)
        )

    async def end(self, status: Status = Status.OK, payload: bytes = b"") -> None:
        """Lets what runs longest end."""
        while not self.running:
            await self.clock.advance(0.001)
        _, pending = self.running.pop(0)
        pending.resolve(Outcome(status=status, payload=payload, error_type="" if status is Status.OK else "Oops"))
        await self.clock.advance(0.01)

    async def ended(self, task_id: str, status: Status = Status.OK, payload: bytes = b"", **fields: Any) -> None:
        """A task that has come to this end."""
        await self.submit(task_id, **fields)
        await self.end(status, payload)

    async def get(self, path: str, **query: str) -> Any:
        answer = await self.call("GET", path, query=list(query.items()))
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    made = Desk()
    await made.start()
    yield made
    await made.stop()


async def no_retries(desk: Desk, to: str = "") -> None:
    config = AsyncConfig(account_id=kit.ACCOUNT, function_name="echo", max_retries=0, on_success=to, on_failure=to)
    await desk.service.configs.put(config, now_ms=desk.clock.now_ms())


async def test_a_task_is_shown_with_the_official_fields(desk: Desk) -> None:
    accepted = await desk.submit("t1", payload=b"in")
    await desk.clock.advance(1)
    assert (await desk.get(f"{TASKS}/t1"))["status"] == "Running"
    await desk.end(payload=b"out \xff")
    shown = await desk.get(f"{TASKS}/t1")
    events = shown.pop("events")
    start = shown["startedTime"]
    assert shown == {
        "taskId": "t1",
        "requestId": accepted.request_id,
        "functionArn": f"acs:fc:local:{kit.ACCOUNT}:functions/echo",
        "qualifier": ids.LATEST,
        "status": "Succeeded",
        "startedTime": start,
        "endTime": start + 1000,
        "durationMs": 1000,
        "alreadyRetriedTimes": 0,
        "instanceId": "",
        "taskErrorMessage": "",
        "taskPayload": "in",
        "returnPayload": "out \ufffd",
        "destinationStatus": "",
    }
    assert [(event["eventId"], event["status"]) for event in events] == [
        (1, "Enqueued"),
        (2, "Running"),
        (3, "Succeeded"),
    ]
    raw = await desk.call("GET", f"{OWN}/t1/result")
    assert (raw.content, raw.headers["content-type"]) == (b"out \xff", "application/octet-stream")


async def test_lists_leave_payloads_out_unless_asked(desk: Desk) -> None:
    await desk.submit("t1", payload=b"in")
    await desk.end(payload=b"out")
    for flag, shown in (("", ""), ("false", ""), ("True", "in")):
        (task,) = (await desk.get(TASKS, includePayload=flag))["tasks"]
        assert (task["taskPayload"], task["returnPayload"]) == (shown, "")


async def test_pages_stay_where_they_are_while_tasks_come(desk: Desk) -> None:
    for number in range(5):
        await desk.submit(f"t{number}")
        await desk.clock.advance(0.01)
    first = await desk.get(TASKS, limit="2")
    assert [one["taskId"] for one in first["tasks"]] == ["t4", "t3"]
    await desk.submit("late")
    second = await desk.get(TASKS, limit="2", nextToken=first["nextToken"])
    third = await desk.get(TASKS, limit="2", nextToken=second["nextToken"])
    assert [one["taskId"] for one in [*second["tasks"], *third["tasks"]]] == ["t2", "t1", "t0"]
    assert "nextToken" not in third
    assert (await desk.get(TASKS, sortOrderByTime="asc"))["tasks"][0]["taskId"] == "t0"


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "101"},
        {"limit": "many"},
        {"status": "Happy"},
        {"sortOrderByTime": "up"},
        {"includePayload": "perhaps"},
        {"nextToken": "../"},
        {"startedTimeBegin": "yesterday"},
    ],
)
async def test_a_filter_that_means_nothing_is_refused(desk: Desk, query: dict[str, str]) -> None:
    answer = await desk.call("GET", TASKS, query=list(query.items()))
    status, code, message = problem_of(answer)
    assert (status, code) == (400, "InvalidArgument")
    assert next(iter(query)) in message or next(iter(query.values())) in message


async def test_official_states_that_no_task_rests_in_list_nothing(desk: Desk) -> None:
    await desk.ended("t1")
    assert await desk.get(TASKS, status="Dequeued") == {"tasks": []}


async def test_what_is_not_there_is_not_found(desk: Desk) -> None:
    for method, path in (("GET", f"{TASKS}/none"), ("PUT", f"{TASKS}/none/stop"), ("GET", f"{OWN}/none/why")):
        assert problem_of(await desk.call(method, path))[:2] == (404, "StatefulAsyncInvocationNotFound")
    for path in (TASKS.replace("echo", "nobody"), f"{TASKS}/t1".replace("echo", "nobody")):
        assert problem_of(await desk.call("GET", path))[:2] == (404, "FunctionNotFound")


async def test_who_may_only_look_cannot_stop_or_run_again(desk: Desk) -> None:
    await desk.ended("t1")
    look = kit.READER
    for method, path in (("PUT", f"{TASKS}/t1/stop"), ("POST", f"{OWN}/t1/rerun"), ("POST", f"{OWN}/rerun")):
        assert problem_of(await desk.call(method, path, key=look))[:2] == (403, "AccessDenied")
    assert (await desk.call("GET", f"{TASKS}/t1", key=look)).status_code == 200
    assert problem_of(await desk.call("GET", "/functory/v1/deliveries/secret", key=look))[:2] == (403, "AccessDenied")


async def test_a_stop_of_what_waits_is_done_and_of_what_ended_is_refused(desk: Desk) -> None:
    await desk.submit("waits", delay_s=60)
    assert (await desk.call("PUT", f"{TASKS}/waits/stop")).status_code == 204
    assert (await desk.get(f"{TASKS}/waits"))["status"] == "Stopped"
    await desk.ended("over")
    assert problem_of(await desk.call("PUT", f"{TASKS}/over/stop"))[0] == 409
    assert (await desk.get(f"{TASKS}/over"))["status"] == "Succeeded"


async def test_many_are_run_again_page_by_page_and_never_the_new_ones(desk: Desk) -> None:
    await no_retries(desk)
    for number in range(120):
        await desk.ended(f"t{number}", Status.FUNCTION_ERROR)
    seen: list[str] = []
    token = ""
    for _ in range(2):
        answer = await desk.call("POST", f"{OWN}/rerun", json={"nextToken": token, "prefix": "t"})
        assert answer.status_code == 202, answer.text
        seen += answer.json()["taskIds"]
        token = answer.json()["nextToken"]
        while desk.running:
            await desk.end(Status.FUNCTION_ERROR)
    assert (len(set(seen)), token) == (120, "")
    answer = await desk.call("POST", f"{OWN}/rerun", json={"nextToken": "zz"})
    assert problem_of(answer)[:2] == (400, "InvalidArgument")


async def test_a_page_that_is_asked_for_twice_starts_nothing_twice(desk: Desk) -> None:
    await no_retries(desk)
    for number in range(3):
        await desk.ended(f"t{number}", Status.FUNCTION_ERROR)
    first = (await desk.call("POST", f"{OWN}/rerun", json={"limit": 2})).json()
    assert (first["taskIds"], first["skipped"], bool(first["nextToken"])) == (["t0-again", "t1-again"], [], True)
    second = (await desk.call("POST", f"{OWN}/rerun", json={"limit": 2})).json()
    assert second["taskIds"] == []
    assert second["skipped"][0] == {"taskId": "t0", "reason": "it was run again before, as 't0-again'"}
    rest = (await desk.call("POST", f"{OWN}/rerun", json={"limit": 2, "nextToken": first["nextToken"]})).json()
    assert (rest["taskIds"], rest["nextToken"]) == (["t2-again"], "")
    for limit in (0, 101):
        wrong = await desk.call("POST", f"{OWN}/rerun", json={"limit": limit})
        assert problem_of(wrong)[:2] == (400, "InvalidArgument")


async def test_many_can_be_corrected_at_once_and_what_cannot_is_named(desk: Desk) -> None:
    await no_retries(desk)
    for task_id, given in (("a", b'{"n": 1, "region": "eu"}'), ("b", b"no JSON")):
        await desk.submit(task_id, payload=given)
        await desk.end(Status.FUNCTION_ERROR)
    done = (await desk.call("POST", f"{OWN}/rerun", json={"merge": {"region": None, "retry": True}})).json()
    reason = "its payload is not a JSON object: there is nothing to merge into"
    assert (done["taskIds"], done["skipped"]) == (["a-again"], [{"taskId": "b", "reason": reason}])
    assert desk.running[-1][0].payload == b'{"n":1,"retry":true}'
    both = await desk.call("POST", f"{OWN}/rerun", json={"merge": {}, "payload": ""})
    assert problem_of(both)[:2] == (400, "InvalidArgument")


async def test_only_ended_tasks_run_again_and_an_edit_must_be_base64(desk: Desk) -> None:
    await desk.submit("waits", delay_s=60)
    assert problem_of(await desk.call("POST", f"{OWN}/waits/rerun", json={}))[0] == 409
    await desk.ended("over", payload=b"x")
    wrong = await desk.call("POST", f"{OWN}/over/rerun", json={"payload": "?"})
    assert problem_of(wrong)[:2] == (400, "InvalidArgument")
    edited = {"payload": base64.b64encode(b"new").decode(), "taskId": "again"}
    answer = await desk.call("POST", f"{OWN}/over/rerun", json=edited)
    assert (answer.status_code, answer.json()["taskId"]) == (202, "again")
    assert desk.running[-1][0].payload == b"new"
    wrong = await desk.call("POST", f"{OWN}/rerun", json={"status": ["Running"]})
    assert problem_of(wrong)[:2] == (400, "InvalidArgument")


async def test_a_dead_delivery_is_listed_sent_again_and_then_known(desk: Desk) -> None:
    await no_retries(desk, "http://nobody.example/")
    await desk.ended("t1", payload=b"out")
    (dead,) = (await desk.get("/functory/v1/deliveries/dead"))["deliveries"]
    assert (await desk.get(f"{TASKS}/t1"))["destinationStatus"] == "Failed"
    assert (dead["destination"], dead["status"], dead["error"]) == (
        "http://nobody.example/",
        "Failed",
        "nobody lives there",
    )
    desk.sink.open = True
    given = {"destination": dead["destination"], "key": dead["key"]}
    for accepted in (True, False):
        answer = await desk.call("POST", "/functory/v1/deliveries/redeliver", json=given)
        assert (answer.status_code, answer.json()) == (202, {"accepted": accepted})
        await desk.clock.advance(1)
    assert len(desk.sink.taken) == 1
    assert (await desk.get(f"{TASKS}/t1"))["destinationStatus"] == "Succeeded"
    missing = await desk.call("POST", "/functory/v1/deliveries/redeliver", json={**given, "key": "999"})
    assert problem_of(missing)[0] == 404
    assert await desk.get("/functory/v1/deliveries/secret") == {"secret": f"of {kit.ACCOUNT}"}


async def test_dead_deliveries_are_listed_and_sent_again_page_by_page_over_destinations(desk: Desk) -> None:
    dead, again = "/functory/v1/deliveries/dead", "/functory/v1/deliveries/dead/redeliver"
    for number in range(5):
        await no_retries(desk, f"http://nobody.example/{number % 2}")
        await desk.ended(f"t{number}", payload=b"out")
    seen: list[str] = []
    token = ""
    for size in (2, 2, 1):
        page = await desk.get(dead, limit="2", nextToken=token)
        assert len(page["deliveries"]) == size
        seen += [one["key"] for one in page["deliveries"]]
        token = page["nextToken"]
    assert (len(set(seen)), token) == (5, "")
    assert len((await desk.get(dead, destination="http://nobody.example/1"))["deliveries"]) == 2
    desk.sink.open = True
    first = (await desk.call("POST", again, json={"limit": 3, "merge": {"note": "edited"}})).json()
    await desk.clock.advance(1)
    assert (len(first["keys"]), first["skipped"]) == (3, [])
    assert {json.loads(one.body)["note"] for one in desk.sink.taken} == {"edited"}
    assert {json.loads(one.body)["responsePayload"] for one in desk.sink.taken} == {"out"}
    assert len((await desk.get(dead))["deliveries"]) == 2, "what was sent again is dead no more"
    rest = (await desk.call("POST", again, json={"nextToken": first["nextToken"]})).json()
    assert (len(rest["keys"]), rest["nextToken"]) == (2, "")
    assert (await desk.get(dead))["deliveries"] == []
    for wrong in ("zz", "1.!", "x.eA=="):
        answer = await desk.call("POST", again, json={"nextToken": wrong})
        assert problem_of(answer)[:2] == (400, "InvalidArgument")


async def test_a_delivery_that_dies_again_carries_its_edit_on(desk: Desk) -> None:
    await no_retries(desk, "http://nobody.example/")
    await desk.ended("t1")
    given = {"destination": "http://nobody.example/", "payload": base64.b64encode(b"by hand").decode()}
    (dead,) = (await desk.get("/functory/v1/deliveries/dead"))["deliveries"]
    await desk.call("POST", "/functory/v1/deliveries/redeliver", json={**given, "key": dead["key"]})
    await desk.clock.advance(1)
    (again,) = (await desk.get("/functory/v1/deliveries/dead"))["deliveries"]
    assert again["key"] == f"_{dead['key']}-again"
    desk.sink.open = True
    await desk.call("POST", "/functory/v1/deliveries/dead/redeliver", json={})
    await desk.clock.advance(1)
    assert [one.body for one in desk.sink.taken] == [b"by hand"]


async def test_progress_is_shown_as_the_json_it_is_and_nothing_else_passes(desk: Desk) -> None:
    await desk.submit("t1")
    await desk.clock.advance(0.01)
    say = desk.running[0][0].on_note
    assert say is not None
    for word in (b'{"done": 1}', b"[" * 4000, b'1, "status": "Failed"', b"\xff", b'"' + b"x" * 5000 + b'"'):
        say(word)
        await desk.clock.advance(1)
        assert (await desk.get(f"{TASKS}/t1"))["progress"] == {"done": 1}
    await desk.end()
    say(b"2")
    await desk.clock.advance(1)
    assert (await desk.get(f"{TASKS}/t1"))["progress"] == {"done": 1}, "it is over"


async def test_counts_are_per_function_and_state(desk: Desk) -> None:
    assert await desk.get("/functory/v1/tasks") == {"functions": []}
    await desk.ended("t1")
    await desk.submit("t2", delay_s=5)
    counts = {"functionName": "echo", "counts": {"Enqueued": 1, "Succeeded": 1}}
    assert await desk.get("/functory/v1/tasks") == {"functions": [counts]}
    assert await desk.get("/functory/v1/tasks", function="echo") == {"functions": [counts]}
    answer = await desk.call("GET", "/functory/v1/tasks", query=[("colour", "red")])
    assert problem_of(answer)[:2] == (400, "InvalidArgument")


async def test_a_function_cannot_be_its_own_destination(desk: Desk) -> None:
    arn = f"acs:fc:local:{kit.ACCOUNT}:functions/echo"
    answer = await desk.call(
        "PUT",
        "/2023-03-30/functions/echo/async-invoke-config",
        json={"destinationConfig": {"onSuccess": {"destination": arn}}},
    )
    assert problem_of(answer)[:2] == (400, "InvalidArgument")


def test_errors_of_tasks_have_the_official_codes() -> None:
    assert errors.TaskAlreadyExists("x").code == "StatefulAsyncInvocationAlreadyExists"
    assert errors.TaskNotFound("x").code == "StatefulAsyncInvocationNotFound"
