"""A call, from bytes on a connection to bytes on it: the whole data plane over in-memory instances."""

from __future__ import annotations

import asyncio
import base64
import json
import time

import pytest

from functory.clock import SystemClock
from functory.instances import heldup
from functory.instances.pools import PoolsConfig
from functory.invoke.admit import AdmitConfig
from functory.model import errors
from functory.model.instance import Exit
from functory.model.invocation import Invocation, Pending, Status
from functory.runtimes import wire
from functory.testing.edge import Edge, edge, make_function, read_answer, until
from functory.testing.instances import Asked, holding


async def echo(asked: Asked) -> bytes:
    return asked.payload


async def test_a_call_returns_what_the_handler_returns_with_the_official_headers() -> None:
    async with edge(echo) as node:
        answer = await node.call("echo", b"hello")
    assert (answer.status, answer.body) == (200, b"hello")
    assert answer.headers["x-fc-request-id"].startswith("1-")
    assert answer.headers["x-fc-instance-id"].startswith("c-")
    assert answer.headers["x-fc-invocation-duration"].isdigit()
    assert "fork;dur=" in answer.headers["server-timing"]


async def test_one_fact_is_recorded_per_call_and_only_the_first_is_cold() -> None:
    async with edge(echo) as node:
        await node.send(*[node.request("echo", b"x" * size) for size in (1, 2, 3)])
        records = await node.flushed()
    assert [(one.status, one.payload_bytes, one.reply_bytes) for one in records] == [
        (Status.OK, n, n) for n in (1, 2, 3)
    ]
    assert [one.cold is not None for one in records] == [True, False, False]
    assert all(one.cost_nano_usd > 0 and one.billed_ms >= 1 for one in records)


async def test_requests_sent_at_once_are_answered_in_order() -> None:
    async with edge(echo) as node:
        answers = await node.send(b"".join(node.request("echo", b"%d" % n) for n in range(50)), *[b""] * 49)
    assert [one.body for one in answers] == [b"%d" % n for n in range(50)]


@pytest.mark.parametrize("size", [65536, 65537, 1_000_000, 5_000_000])
async def test_large_bodies_pass_both_ways_unchanged(size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    async with edge(echo) as node:
        answer = await node.call("echo", body[:size])
    assert answer.body == body[:size]


async def test_a_chunked_body_is_taken_apart() -> None:
    async with edge(echo) as node:
        head = node.request("echo", b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        (answer,) = await node.send(head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    assert answer.body == b"abcde"


async def test_a_body_that_arrives_byte_by_byte_holds_no_instance_meanwhile() -> None:
    async with edge(echo) as node:
        reader, writer = await node.connect()
        request = node.request("echo", b"slow")
        for index in range(len(request) - 1):
            writer.write(request[index : index + 1])
            await writer.drain()
            await asyncio.sleep(0)
        assert not node.spawner.made
        writer.write(request[-1:])
        assert (await read_answer(reader)).body == b"slow"
        writer.close()


async def test_a_function_error_is_http_200_with_the_error_type_and_json() -> None:
    async def fail(asked: Asked) -> bytes:
        raise ValueError("no such thing")

    async with edge(fail) as node:
        answer = await node.call("echo")
        records = await node.flushed()
    assert answer.status == 200
    assert answer.headers["x-fc-error-type"] == "UnhandledInvocationError"
    assert json.loads(answer.body)["errorMessage"] == "no such thing"
    assert records[0].status is Status.FUNCTION_ERROR


async def test_an_unknown_function_is_404_before_anything_is_started() -> None:
    async with edge(echo) as node:
        answer = await node.call("nobody")
        assert not node.spawner.made
    assert answer.status == 404
    assert json.loads(answer.body)["Code"] == "FunctionNotFound"


async def test_a_missing_version_or_alias_is_named() -> None:
    async with edge(echo) as node:
        version, alias = await node.send(
            node.request("echo", b"", qualifier="7"), node.request("echo", b"", qualifier="prod")
        )
    assert [json.loads(one.body)["Code"] for one in (version, alias)] == ["VersionNotFound", "AliasNotFound"]


async def test_a_call_without_or_with_a_wrong_token_is_refused() -> None:
    async with edge(echo) as node:
        request = node.request("echo", b"")
        wrong = request.replace(node.token.encode(), node.token[:-4].encode() + b"AAAA")
        none = request.replace(b"Authorization", b"X-Nothing")
        answers = await node.send(wrong, none)
        assert not node.spawner.made
    assert [one.status for one in answers] == [403, 400]
    assert json.loads(answers[1].body)["Code"] == "MissingRequiredHeader"


async def test_a_remembered_token_ends_when_the_keys_change() -> None:
    async with edge(echo) as node:
        reader, writer = await node.connect()
        writer.write(node.request("echo", b""))
        assert (await read_answer(reader)).status == 200
        node.tokens._keys = lambda _: None
        node.calls.keys_changed()
        writer.write(node.request("echo", b""))
        assert (await read_answer(reader)).status == 403
        writer.close()


async def test_a_late_answer_to_a_call_that_timed_out_does_not_harm_those_beside_it() -> None:
    late, go_on = asyncio.Event(), asyncio.Event()

    async def handler(asked: Asked) -> bytes:
        await (late if asked.payload == b"late" else go_on).wait()
        return asked.payload

    async with edge(handler, make_function(timeout_s=1, instance_concurrency=2)) as node:
        first = asyncio.create_task(node.call("echo", b"late"))
        await until(lambda: bool(node.spawner.made and node.spawner.made[0].asked))
        await asyncio.sleep(0.6)  # so that the second one's deadline is later
        second = asyncio.create_task(node.call("echo", b"beside"))
        assert (await first).headers["x-fc-error-type"] == "FunctionTimeout"
        late.set()  # the instance answers the first request now, too late
        await asyncio.sleep(0)
        go_on.set()
        assert (await second).body == b"beside"
        assert len(node.spawner.made) == 1


async def test_a_call_past_its_deadline_is_answered_and_its_instance_killed() -> None:
    async def hang(asked: Asked) -> bytes:
        await asyncio.Event().wait()
        return b""

    async with edge(hang, make_function(timeout_s=1)) as node:
        answer = await node.call("echo")
        assert answer.headers["x-fc-error-type"] == "FunctionTimeout"
        assert "timed out after 1 seconds" in json.loads(answer.body)["errorMessage"]
        assert node.spawner.killed == [node.spawner.made[0].spec.instance_id]
        records = await node.flushed()
    assert records[0].status is Status.TIMEOUT
    assert 1000 <= records[0].billed_ms < 1500


class HeldUp(SystemClock):
    """The machine's clock, of a process that can stand still."""

    def __init__(self) -> None:
        self._still_ns = 0
        self.monotonic_ns = lambda: time.monotonic_ns() + self._still_ns

    def stand_still(self, seconds: int) -> None:
        self._still_ns += seconds * 1_000_000_000


async def test_what_was_answered_while_the_node_stood_still_counts_although_its_deadline_is_over() -> None:
    clock = HeldUp()

    async def answer(asked: Asked) -> bytes:
        asked.instance.send(asked.stream, wire.Type.RESP, wire.Flag.END, 0, b"", b"in time")
        clock.stand_still(60)
        node.pools._tick()  # as timers do that are long due: before anything that lies in the pipe is read
        await asyncio.Event().wait()
        return b""

    async with edge(answer, make_function(timeout_s=5), clock=clock) as node:
        assert (await node.call("echo")).body == b"in time"
        assert node.spawner.killed == []


async def test_who_really_overran_while_the_node_stood_still_is_ended_a_moment_after_it_goes_on() -> None:
    clock = HeldUp()

    async def hang(asked: Asked) -> bytes:
        clock.stand_still(60)
        await asyncio.Event().wait()
        return b""

    async with edge(hang, make_function(timeout_s=5), clock=clock) as node:
        begin = time.monotonic_ns()
        assert (await node.call("echo")).headers["x-fc-error-type"] == "FunctionTimeout"
        assert heldup.REPRIEVE_NS <= time.monotonic_ns() - begin < 3_000_000_000
        assert len(node.spawner.killed) == 1


async def test_a_crash_is_named_and_the_next_call_gets_a_new_instance() -> None:
    async def crash(asked: Asked) -> bytes:
        if asked.payload == b"crash":
            asked.instance.end(Exit(instance_id=asked.instance.spec.instance_id, signal=11))
        return b"fine"

    async with edge(crash) as node:
        first, second = await node.call("echo", b"crash"), await node.call("echo", b"go on")
        assert len(node.spawner.made) == 2
    assert "signal 11" in json.loads(first.body)["errorMessage"]
    assert second.body == b"fine"


@pytest.mark.parametrize(
    "frame",
    [
        wire.HEADER.pack(1 << 31, 1, 0, 2, 1, 0),
        wire.HEADER.pack(4, 1, 9, 2, 1, 0) + b"abcd",
        wire.frame(999, wire.Type.RESP, wire.Flag.END, 0, b"", b"not asked"),
        wire.frame(1, 77, 0, 0, b"", b""),
        wire.frame(1, wire.Type.BODY, 0, 0, b"", b"no answer begun"),
        wire.frame(1, wire.Type.RESP, 0, 0, (1 << 40).to_bytes(8, "little"), b""),
    ],
    ids=["too long", "meta over length", "unknown stream", "unknown type", "body first", "endless"],
)
async def test_an_instance_that_breaks_the_protocol_is_ended_and_its_caller_told(frame: bytes) -> None:
    async def hostile(asked: Asked) -> bytes:
        asked.instance.send_raw(frame)
        await asyncio.Event().wait()
        return b""

    async with edge(hostile) as node:
        answer = await node.call("echo")
        assert node.spawner.killed
    assert json.loads(answer.body)["errorType"] == "ProtocolBroken"


@pytest.mark.parametrize("kind", [wire.Type.RESP, wire.Type.ERROR])
@pytest.mark.parametrize(
    "after", [wire.HEADER.pack(1 << 31, 1, 0, 2, 1, 0), wire.frame(999, wire.Type.RESP, 1, 0, b"", b"")]
)
async def test_an_answer_right_before_nonsense_reaches_its_caller_and_frees_its_place(
    kind: wire.Type, after: bytes
) -> None:
    async def hostile(asked: Asked) -> bytes:
        asked.instance.send_raw(wire.frame(asked.stream, kind, wire.Flag.END, 2, b"", b"{}") + after)
        await asyncio.Event().wait()
        return b""

    async with edge(hostile, admit=AdmitConfig(account_concurrency=1)) as node:
        for _ in range(3):
            async with asyncio.timeout(5):
                assert (await node.call("echo")).body == b"{}"
        assert len(node.spawner.made) == 3


async def test_an_instance_that_greets_twice_is_ended() -> None:
    async def greets(asked: Asked) -> bytes:
        asked.instance.send(0, wire.Type.HELLO, 0, 0, b'{"protocol": 1}', b"")
        await asyncio.Event().wait()
        return b""

    async with edge(greets) as node:
        assert json.loads((await node.call("echo")).body)["errorType"] == "ProtocolBroken"
        assert node.spawner.killed


@pytest.mark.parametrize(
    "told",
    [
        b'{"protocol": 1, "importUs": %b}' % (b"9" * 400),
        b'{"protocol": 1, "initUs": -1}',
        b'{"protocol": 1, "pid": 1e99}',
        b'{"protocol": 1, "mode": "%b"}' % (b"x" * 5000),
        b"[" * 5000,
        b"\xff",
    ],
    ids=["400 digits", "negative", "a float", "long", "deep", "not text"],
)
async def test_a_greeting_that_no_answer_or_record_can_hold_is_no_greeting(told: bytes) -> None:
    async with edge(echo) as node:
        node.spawner.hello = False
        call = asyncio.create_task(node.call("echo"))
        await node.spawner.spawned.wait()
        node.spawner.made[0].send(0, wire.Type.HELLO, 0, 0, told, b"")
        answer = await call
        assert node.spawner.killed
    assert json.loads(answer.body)["errorType"] == "ProtocolBroken"


async def test_a_failed_start_reaches_the_caller_as_initialization_error() -> None:
    async with edge(echo) as node:
        node.spawner.hello = False
        call = asyncio.create_task(node.call("echo"))
        await node.spawner.spawned.wait()
        body = b'{"errorMessage":"No module named index","errorType":"ImportError","stackTrace":[]}'
        node.spawner.made[0].send(0, wire.Type.ERROR, wire.Flag.END, wire.ErrorCode.INIT, b"", body)
        answer = await call
    assert answer.headers["x-fc-error-type"] == "InitializationError"
    assert json.loads(answer.body)["errorType"] == "ImportError"


async def test_a_spawner_that_cannot_start_anything_is_503_and_not_billed() -> None:
    async with edge(echo) as node:
        node.spawner.refuse = "no processes left"
        answer = await node.call("echo")
        records = await node.flushed()
    assert answer.status == 503
    assert "no processes left" in json.loads(answer.body)["Message"]
    assert [(one.status, one.cost_nano_usd) for one in records] == [(Status.SYSTEM, 0)]


async def _busy(node: Edge, count: int, inside: asyncio.Semaphore) -> list[asyncio.Task[int]]:
    async def one() -> int:
        return (await node.call("echo")).status

    tasks = [asyncio.create_task(one()) for _ in range(count)]
    for _ in range(count):
        await inside.acquire()
    return tasks


async def test_over_the_functions_limit_calls_wait_and_over_the_queue_they_are_429() -> None:
    inside, go, hold = holding()
    async with edge(hold, admit=AdmitConfig(function_concurrency=2, queue_max=1)) as node:
        running = await _busy(node, 2, inside)
        waiting = asyncio.create_task(node.call("echo"))
        await until(lambda: node.admit.waiting == 1)
        refused = await node.call("echo")
        assert refused.status == 429
        assert json.loads(refused.body)["Code"] == "ResourceExhausted"
        assert int(refused.headers["retry-after"]) >= 1
        go.set()
        assert [await one for one in running] == [200, 200]
        assert (await waiting).status == 200


async def test_over_the_accounts_limit_calls_are_429() -> None:
    inside, go, hold = holding()
    async with edge(
        hold, make_function("echo"), make_function("other"), admit=AdmitConfig(account_concurrency=1)
    ) as node:
        running = await _busy(node, 1, inside)
        assert (await node.call("other")).status == 429
        go.set()
        assert await running[0] == 200
        assert (await node.call("other")).status == 200


async def test_a_wait_that_is_too_long_is_429() -> None:
    _, go, hold = holding()
    async with edge(hold, admit=AdmitConfig(function_concurrency=1, queue_wait_s=0.05)) as node:
        first = asyncio.create_task(node.call("echo"))
        await node.spawner.spawned.wait()
        assert (await node.call("echo")).status == 429
        go.set()
        assert (await first).status == 200


async def test_each_simultaneous_call_gets_an_instance_of_its_own_and_they_are_used_again() -> None:
    inside, go, hold = holding()
    async with edge(hold) as node:
        tasks = await _busy(node, 4, inside)
        assert len(node.spawner.made) == 4
        go.set()
        await asyncio.gather(*tasks)
        await node.call("echo")
        assert len(node.spawner.made) == 4


async def test_a_function_with_concurrency_packs_one_instance() -> None:
    inside, go, hold = holding()
    async with edge(hold, make_function(instance_concurrency=8)) as node:
        first = await _busy(node, 1, inside)
        rest = await _busy(node, 7, inside)
        assert len(node.spawner.made) == 1
        go.set()
        await asyncio.gather(*first, *rest)


async def test_a_change_of_the_function_moves_calls_to_new_instances_and_ends_the_old_ones() -> None:
    async with edge(echo) as node:
        old = node.routes.find("1000000000000001", "echo")
        await node.call("echo")
        node.routes.put(make_function(epoch=2, timeout_s=9))
        node.pools.retire(old)
        await node.call("echo")
        assert len(node.spawner.made) == 2
        await until(lambda: node.spawner.made[0].ended)
        assert not node.spawner.made[1].ended


async def test_idle_instances_go_after_their_time() -> None:
    async with edge(echo, pools_config=PoolsConfig(idle_s=0.01)) as node:
        await node.call("echo")
        await until(lambda: node.pools.statistics()["alive"] == 0, turns=100_000_000)
        assert node.spawner.made[0].ended


async def test_what_a_handler_prints_comes_back_as_log_tail_and_is_kept() -> None:
    async def talk(asked: Asked) -> bytes:
        asked.instance.send(asked.stream, wire.Type.LOG, 0, 0, b"", b"hello from inside\n")
        return b""

    async with edge(talk) as node:
        answer = await node.call("echo", b"", "x-fc-log-type: Tail")
        await node.flushed()
    tail = base64.b64decode(answer.headers["x-fc-log-result"]).decode()
    assert "FC Invoke Start RequestId: " in tail
    assert "hello from inside\n" in tail
    assert "Billed Duration: " in tail
    assert node.kept.logs[0].text == b"hello from inside\n"


async def test_a_streamed_reply_without_a_length_arrives_chunk_by_chunk() -> None:
    more = asyncio.Event()

    async def stream(asked: Asked) -> bytes:
        asked.instance.send(asked.stream, wire.Type.RESP, 0, 0, b"", b"")
        asked.instance.send(asked.stream, wire.Type.BODY, 0, 0, b"", b"first")
        await more.wait()
        asked.instance.send(asked.stream, wire.Type.BODY, wire.Flag.END, 0, b"", b"second")
        await asyncio.Event().wait()
        return b""

    async with edge(stream) as node:
        reader, writer = await node.connect()
        writer.write(node.request("echo", b""))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"transfer-encoding: chunked" in head
        assert await reader.readexactly(10) == b"5\r\nfirst\r\n"
        more.set()
        assert await reader.readexactly(16) == b"6\r\nsecond\r\n0\r\n\r\n"
        writer.close()
        records = await node.flushed()
    assert records[0].reply_bytes == 11


async def test_a_reply_that_breaks_off_closes_the_connection_instead_of_looking_whole() -> None:
    async def broken(asked: Asked) -> bytes:
        asked.instance.send(asked.stream, wire.Type.RESP, 0, 0, (100_000).to_bytes(8, "little"), b"")
        asked.instance.send(asked.stream, wire.Type.BODY, 0, 0, b"", b"part")
        asked.instance.end(Exit(instance_id=asked.instance.spec.instance_id, code=1))
        return b""

    async with edge(broken) as node:
        reader, writer = await node.connect()
        writer.write(node.request("echo", b""))
        await reader.readuntil(b"\r\n\r\n")
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await reader.readexactly(100_000)
        writer.close()
        records = await node.flushed()
    assert records[0].status is Status.EXITED


async def test_a_full_store_loses_no_records() -> None:
    async with edge(echo) as node:
        node.kept.failure = errors.StorageFull()
        await node.call("echo")
        await until(lambda: node.kept.refused > 0)
        assert node.kept.records == []
        node.kept.failure = None
        assert len(await node.flushed()) == 1


async def test_the_waist_can_be_awaited() -> None:
    async with edge(echo) as node:
        outcome = await node.invoke(
            Invocation(
                request_id="1-00000000-00000000-000000000001",
                account_id="1000000000000001",
                function_name="echo",
                payload=b"x",
                accepted_ns=1,
            )
        )
    assert (outcome.status, outcome.payload) == (Status.OK, b"x")


async def test_an_invocation_that_waits_can_be_taken_out_of_the_line_and_never_runs() -> None:
    _, go, hold = holding()
    async with edge(hold, pools_config=PoolsConfig(instances_max=1)) as node:

        def ask(number: int) -> Pending:
            request_id = f"1-00000000-00000000-{number:012x}"
            return node.invoke(
                Invocation(
                    request_id=request_id,
                    account_id="1000000000000001",
                    function_name="echo",
                    accepted_ns=time.monotonic_ns(),
                )
            )

        first, second = ask(1), ask(2)
        await node.spawner.spawned.wait()
        node.pools.cancel("1-00000000-00000000-000000000002", 1.0)
        assert (await second).status is Status.CANCELLED
        go.set()
        assert (await first).status is Status.OK
        assert [one.request_id[-1] for one in node.spawner.made[0].asked] == ["1"]
