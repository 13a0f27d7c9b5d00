"""The ends of tasks reach their destinations, functions and URLs, and what cannot be told is not forgotten."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from functory.model import errors
from functory.model.invocation import Invocation, Outcome, Pending, Status
from functory.model.task import TaskState
from functory.queue.base import Group, Lane, Query, Row
from functory.queue.pump import PumpConfig
from functory.sinks import allowed
from functory.sinks import base as sinks
from functory.sinks.base import Kind
from functory.sinks.function import MAX_HOPS
from functory.sinks.http import HttpSink
from functory.sinks.reach import Reach
from functory.tasks.service import TaskConfig
from functory.testing.clock import JumpingClock, settle
from functory.testing.tasks import ACCOUNT, Behave, TaskNode, failed, ok, task_node

TOLD = "acs:fc:local::functions/told"
SECRET = b"the account's secret"
HERE = allowed.parse("127.0.0.1")


def by_name(**behaviours: Behave) -> Behave:
    def behave(call: Invocation) -> Outcome | Pending:
        one = behaviours.get(call.function_name)
        return one(call) if one else ok()

    return behave


def messages(node: TaskNode) -> list[dict[str, Any]]:
    return [msgspec.json.decode(call.payload) for call in node.calls if call.function_name == "told"]


async def deliveries(node: TaskNode, destination: str = TOLD) -> list[TaskState]:
    return [row.state for row in await node.queue.list(Query(group=Group(Lane.DELIVERY, ACCOUNT, destination)))]


async def settled(node: TaskNode, count: int = 1, destination: str = TOLD) -> list[TaskState]:
    """The states of deliveries once `count` have ended."""
    async with asyncio.timeout(20):
        while True:
            states = await deliveries(node, destination)
            if sum(state >= TaskState.SUCCEEDED for state in states) == count:
                return states
            await asyncio.to_thread(lambda: None)


# --- functions --------------------------------------------------------------------------------------------------------


async def test_a_function_is_told_of_a_success_in_the_official_words() -> None:
    async with task_node(by_name(echo=lambda _: ok(b'{"a": 1}'))) as node:
        await node.configure("echo", on_success=TOLD)
        accepted = await node.submit("echo", b"the question", task_id="t")
        assert await settled(node) == [TaskState.SUCCEEDED]
        (row,) = await node.queue.list(Query(group=Group(Lane.TASK, ACCOUNT, "told")))
        await node.ended(row.key, "told")
        (message,) = messages(node)
        task = await node.task("t")
        assert message == {
            "timestamp": task.ended_at_ms,
            "requestContext": {
                "requestId": accepted.request_id,
                "functionArn": f"acs:fc:local:{ACCOUNT}:functions/echo/LATEST",
                "condition": "",
                "approximateInvokeCount": 1,
                "taskId": "t",
            },
            "requestPayload": "the question",
            "responseContext": {"statusCode": 200, "functionError": ""},
            "responsePayload": '{"a": 1}',
        }


async def test_a_failure_an_expiry_and_a_stop_are_told_to_the_other_destination() -> None:
    clock = JumpingClock()
    async with task_node(
        by_name(bad=lambda _: failed(Status.OUT_OF_MEMORY, error_type="FunctionResourceExhausted")), clock=clock
    ) as node:
        for name in ("bad", "good"):
            await node.configure(name, on_success=TOLD, on_failure=f"{TOLD}/prod", max_retries=1, max_age_s=60)
        await node.submit("bad", task_id="failed")
        await node.submit("good", task_id="stopped", delay_s=100)
        await node.service.tasks.stop(ACCOUNT, "good", "stopped")
        await clock.advance(100)
        assert await deliveries(node, f"{TOLD}/prod") == [TaskState.SUCCEEDED] * 2
        assert await deliveries(node) == []
        told = {message["requestContext"]["taskId"]: message for message in messages(node)}
        assert told["failed"]["requestContext"]["condition"] == "FunctionResourceExhausted"
        assert told["failed"]["requestContext"]["approximateInvokeCount"] == 2
        assert told["failed"]["responsePayload"] == '{"errorMessage":"boom"}'
        assert told["stopped"]["responseContext"] == {"statusCode": 500, "functionError": "Stopped"}
        assert {call.qualifier for call in node.calls if call.function_name == "told"} == {"prod"}


async def test_payloads_that_are_no_text_or_too_long_are_told_so() -> None:
    async with task_node(by_name(echo=lambda _: ok(b"r" * 2_000_000))) as node:
        await node.configure("echo", on_success=TOLD)
        await node.submit("echo", b"\xff\x00")
        await settled(node)
        (row,) = await node.queue.list(Query(group=Group(Lane.TASK, ACCOUNT, "told")))
        await node.ended(row.key, "told")
        (message,) = messages(node)
        assert (message["requestPayload"], message["requestPayloadIsBase64"]) == ("/wA=", True)
        assert (message["responsePayload"], message["responsePayloadBytes"]) == ("", 2_000_000)


async def test_a_destination_that_is_gone_is_a_dead_delivery_that_can_be_sent_again() -> None:
    async with task_node() as node:
        node.missing.add("told")
        await node.configure("echo", on_success=TOLD)
        await node.submit("echo", task_id="t")
        assert await settled(node) == [TaskState.FAILED]
        (dead,) = (await node.service.tasks.redrive.dead(ACCOUNT)).rows
        assert "told" in dead.error
        assert (await node.task("t")).state is TaskState.SUCCEEDED
        node.missing.clear()
        assert await node.service.tasks.redrive.delivery(ACCOUNT, TOLD, dead.key)
        assert not await node.service.tasks.redrive.delivery(ACCOUNT, TOLD, dead.key)
        assert sorted(await settled(node, 2)) == [TaskState.SUCCEEDED, TaskState.FAILED]


# --- URLs -------------------------------------------------------------------------------------------------------------


class Listener:
    """A small HTTP server: keeps what it was sent, answers what it is told to."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.url = ""
        self.answer_now: Callable[[], bytes] = lambda: b"HTTP/1.1 204 No Content\r\n\r\n"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.requests.append((head[0], headers, body))
        writer.write(self.answers.pop(0) if self.answers else self.answer_now())
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    listener = Listener()
    server = await asyncio.start_server(listener.serve, "127.0.0.1", 0)
    listener.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/told?x=1"
    async with server:
        yield listener


def http_sink(clock: JumpingClock) -> HttpSink:
    return HttpSink(lambda _: SECRET, clock=clock, allowed=HERE)


def answer(status: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", "content-length: 0", "connection: close", *headers, "", ""]).encode()


async def test_a_url_is_told_by_a_signed_post() -> None:
    clock = JumpingClock()
    async with listening() as listener:
        sink = http_sink(clock)
        async with task_node(clock=clock, sinks={Kind.HTTP: sink}) as node:
            await node.configure("echo", on_success=listener.url)
            await node.submit("echo", b"q", task_id="t", trace_parent="00-a-b-01")
            assert await settled(node, 1, listener.url) == [TaskState.SUCCEEDED]
    ((line, headers, body),) = listener.requests
    assert line == "POST /told?x=1 HTTP/1.1"
    stamp, delivery = headers["x-functory-timestamp"], headers["x-functory-delivery"]
    signed = hmac.new(SECRET, f"{stamp}.{delivery}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers["x-functory-signature"] == f"v1={signed}"
    assert headers["traceparent"] == "00-a-b-01"
    assert msgspec.json.decode(body)["requestPayload"] == "q"


async def test_a_url_that_is_down_is_told_later_with_the_same_delivery_id() -> None:
    clock = JumpingClock()
    async with listening() as listener:
        listener.answers = [answer("503 Down"), answer("429 Slow", "retry-after: 30"), answer("500 Oh")]
        async with task_node(clock=clock, sinks={Kind.HTTP: http_sink(clock)}) as node:
            await node.configure("echo", on_success=listener.url)
            await node.submit("echo", task_id="t")
            async with clock.jumping(grace_s=0.02):
                assert await settled(node, 1, listener.url) == [TaskState.SUCCEEDED]
            (row,) = await node.queue.list(Query(group=Group(Lane.DELIVERY, ACCOUNT, listener.url)))
            assert row.attempts == 4
            starts = [event.at_ms for event in row.events if event.state is TaskState.RUNNING]
            waits = [after - before for before, after in itertools.pairwise(starts)]
            assert waits[1] >= 30_000
    assert len({headers["x-functory-delivery"] for _, headers, _ in listener.requests}) == 1
    assert len(listener.requests) == 4


@pytest.mark.parametrize("status", ["400 Bad", "404 None", "301 Moved", "410 Gone"])
async def test_a_url_that_refuses_for_good_is_not_asked_again(status: str) -> None:
    clock = JumpingClock()
    async with listening() as listener:
        listener.answers = [answer(status, "location: http://127.0.0.1:1/")]
        async with task_node(clock=clock, sinks={Kind.HTTP: http_sink(clock)}) as node:
            await node.configure("echo", on_success=listener.url)
            await node.submit("echo", task_id="t")
            assert await settled(node, 1, listener.url) == [TaskState.FAILED]
            (dead,) = (await node.service.tasks.redrive.dead(ACCOUNT)).rows
            assert status in dead.error
    assert len(listener.requests) == 1


# --- where URLs may lead ----------------------------------------------------------------------------------------------


async def test_a_url_whose_name_leads_somewhere_else_by_now_is_not_connected_to() -> None:
    """Good when it was configured, on the node's own loopback when it is connected to: nothing is sent."""
    answers = ["93.184.215.14", "127.0.0.1"]

    async def rebinding(_host: str, _port: int) -> list[allowed.Address]:
        return [ipaddress.ip_address(answers.pop(0))]

    clock, public = JumpingClock(), allowed.Allowed()
    async with listening() as listener:
        url = listener.url.replace("127.0.0.1", "rebind.example.com")
        sink = HttpSink(lambda _: SECRET, clock=clock, allowed=public, reach=Reach(public, resolve=rebinding))
        async with task_node(clock=clock, sinks={Kind.HTTP: sink}) as node:
            await sink.check(url)
            await node.configure("echo", on_success=url)
            await node.submit("echo", task_id="t")
            assert await settled(node, 1, url) == [TaskState.FAILED]
            (dead,) = (await node.service.tasks.redrive.dead(ACCOUNT)).rows
            assert "rebind.example.com (127.0.0.1)" in dead.error
            assert "not allowed" in dead.error
    assert not listener.requests


async def test_of_several_addresses_the_allowed_ones_are_tried() -> None:
    async def several(_host: str, _port: int) -> list[allowed.Address]:
        return [ipaddress.ip_address(one) for one in ("10.0.0.1", "127.0.0.1")]

    clock = JumpingClock()
    async with listening() as listener:
        url = listener.url.replace("127.0.0.1", "hooks.example.com")
        sink = HttpSink(lambda _: SECRET, clock=clock, allowed=HERE, reach=Reach(HERE, resolve=several))
        async with task_node(clock=clock, sinks={Kind.HTTP: sink}) as node:
            await node.configure("echo", on_success=url)
            await node.submit("echo", task_id="t")
            assert await settled(node, 1, url) == [TaskState.SUCCEEDED]
    ((_, headers, _),) = listener.requests
    assert headers["host"] == url.split("/")[2], "it is spoken to by its name"


@pytest.mark.parametrize(
    "url",
    ["http://localhost:9000/x", "http://127.1/", "http://2130706433/", "http://[::1]/", "http://[::ffff:10.0.0.1]/",
     "http://169.254.169.254/latest/meta-data/", "https://10.0.0.1/hook"],
)  # fmt: skip
async def test_a_url_that_may_not_be_reached_is_refused_before_anything_is_sent(url: str) -> None:
    sink = HttpSink(lambda _: SECRET, clock=JumpingClock(), allowed=allowed.Allowed())
    with pytest.raises(errors.InvalidArgument, match="are not allowed on this node"):
        await sink.check(url)


# --- configuration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("destination", "why"),
    [
        ("acs:mns:r:1:/queues/q/messages", "message service"),
        ("acs:eventbridge:r:1:eventbus/b", "event bus"),
        ("acs:mq:r:1:/i/t", "RocketMQ"),
        ("acs:fc:r:1:functions/no spaces", "not valid"),
        ("ftp://x/", "not understood"),
        ("http://", "not a URL of a host"),
        ("https://user:secret@host/", "without user"),
        ("http://[::1", "not a valid URL"),
        ("http://host:99999/", "not a valid URL"),
        ("https://host/\n", "printable"),
        ("https://" + "x" * 2000, "printable"),
    ],
)
async def test_a_destination_that_cannot_be_told_is_refused_when_it_is_configured(destination: str, why: str) -> None:
    async with task_node() as node:
        with pytest.raises(errors.InvalidArgument, match=why):
            await node.configure("echo", on_failure=destination)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_retries": -1},
        {"max_retries": 9},
        {"max_age_s": 0},
        {"max_age_s": 604_801},
        {"on_failure": "acs:fc:::functions/echo"},
    ],
)
async def test_a_configuration_outside_its_bounds_is_refused(wrong: dict[str, Any]) -> None:
    async with task_node() as node:
        with pytest.raises(errors.InvalidArgument):
            await node.configure("echo", **wrong)
        with pytest.raises(errors.AsyncConfigNotFound):
            node.service.configs.get(ACCOUNT, "echo")


async def test_a_qualifier_has_its_own_configuration_else_that_of_the_function() -> None:
    async with task_node() as node:
        configs = node.service.configs
        await node.configure("echo", max_retries=1)
        first = await node.configure("echo", qualifier="prod", max_retries=2)
        assert configs.find(ACCOUNT, "echo", "prod").max_retries == 2
        assert configs.find(ACCOUNT, "echo", "test").max_retries == 1
        assert configs.find(ACCOUNT, "other", "LATEST").max_retries == 3
        again = await node.configure("echo", qualifier="prod", max_retries=8)
        assert (again.created_at_ms, again.max_retries) == (first.created_at_ms, 8)
        assert [config.qualifier for config in configs.list(ACCOUNT)] == ["LATEST", "prod"]
        assert [config.qualifier for config in configs.list(ACCOUNT, after=("echo", "LATEST"))] == ["prod"]
        await configs.delete(ACCOUNT, "echo", "prod")
        with pytest.raises(errors.AsyncConfigNotFound):
            await configs.delete(ACCOUNT, "echo", "prod")
        await configs.forget(ACCOUNT, "echo")
        assert not configs.list(ACCOUNT)


def test_function_destinations_may_leave_out_the_account_and_name_a_qualifier() -> None:
    assert sinks.parse("acs:fc:::functions/f").function_name == "f"
    assert sinks.parse("acs:fc:cn-hangzhou:123:functions/f/prod").qualifier == "prod"


# --- circles ----------------------------------------------------------------------------------------------------------


async def test_functions_that_tell_each_other_in_a_circle_end_as_a_dead_letter_that_says_so() -> None:
    clock = JumpingClock()
    async with task_node(clock=clock) as node:
        for name, to in (("a", "b"), ("b", "c"), ("c", "a")):
            await node.configure(name, on_success=f"acs:fc:local::functions/{to}")
        await node.submit("a", task_id="t")
        first = await a_dead_one(node)
        assert len(node.calls) == MAX_HOPS + 1
        assert "form a circle" in first.error
        assert await node.service.tasks.redrive.delivery(ACCOUNT, first.group.name, first.key)
        second = await a_dead_one(node, other_than=first.key)
        assert len(node.calls) == MAX_HOPS + 2, "sent again by hand it goes on"
        assert "8388608" in second.error, "each message holds the one before, twice as long: that ends it too"


async def a_dead_one(node: TaskNode, *, other_than: str = "") -> Row:
    """A dead delivery, once there is one."""
    async with asyncio.timeout(20):
        while True:
            for row in (await node.service.tasks.redrive.dead(ACCOUNT)).rows:
                if row.key != other_than:
                    return row
            await settle()


# --- an hour ----------------------------------------------------------------------------------------------------------


async def test_a_url_that_is_down_for_an_hour_is_told_once_it_is_back_and_no_end_is_lost() -> None:
    """A real server, which answers 503 for an hour of the clock that the queue goes by."""
    clock, count = JumpingClock(), 8
    async with listening() as listener:
        back_ms = clock.now_ms() + 3_600_000
        listener.answer_now = lambda: answer("200 Fine" if clock.now_ms() >= back_ms else "503 Down")
        rare = PumpConfig(lease_ms=300_000)  # fewer heartbeats to live through
        sink = http_sink(clock)
        async with task_node(
            clock=clock, sinks={Kind.HTTP: sink}, config=TaskConfig(pump=rare, deliveries=rare)
        ) as node:
            await node.configure("echo", on_success=listener.url)
            for number in range(count):
                await node.submit("echo", task_id=f"t{number}")
            async with clock.jumping(grace_s=0.005):
                assert await settled(node, count, listener.url) == [TaskState.SUCCEEDED] * count
            assert clock.now_ms() >= back_ms
            assert clock.now_ms() < back_ms + 2 * 60_000, "pauses grow to a minute at most"
            rows = await node.queue.list(Query(group=Group(Lane.DELIVERY, ACCOUNT, listener.url), limit=count))
    tried = sum(row.attempts for row in rows)
    assert 60 * count < tried < 200 * count, "about every half minute, each"
    assert len(listener.requests) == tried
    assert len({headers["x-functory-delivery"] for _, headers, _ in listener.requests}) == count
