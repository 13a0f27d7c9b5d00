"""The asynchronous client on a real node."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from e2e.node_process import NodeProcess
from e2e.test_tasks import ECHO, FAIL, PATIENCE_S, configure, make
from functory.sdk import ApiError, AsyncClient, Client, TaskExpired, TaskFailed, TaskNotEnded, TaskStopped

pytestmark = pytest.mark.server


async def test_a_task_is_handed_over_and_its_answer_awaited_in_one_breath(node: NodeProcess, client: Client) -> None:
    make(client, "swift", ECHO)
    async with AsyncClient(node.credentials) as own:
        assert await own.submit("swift", b"\x00 bytes \xff").result(PATIENCE_S) == b"\x00 bytes \xff"
        submitted = await own.submit("swift", "text", task_id="named")
        assert submitted.task_id == "named"
        assert (await submitted.wait(PATIENCE_S)).succeeded
        assert (await submitted.get()).request_id == submitted.request_id
        assert (await own.invoke("swift", b"at once")).payload == b"at once"
        submission = own.submit("swift", b"", task_id="named")
        for _ in range(2):
            with pytest.raises(ApiError, match="StatefulAsyncInvocationAlreadyExists"):
                await submission


async def test_hundreds_at_once_come_back_in_order(node: NodeProcess, client: Client) -> None:
    make(client, "crowd", ECHO, instanceConcurrency=50)
    numbers = [str(number).encode() for number in range(120)]
    async with AsyncClient(node.credentials) as own:
        assert await asyncio.gather(*(own.submit("crowd", one).result(60) for one in numbers)) == numbers
        assert [answer async for answer in own.map("crowd", numbers, at_once=20, wait_s=60)] == numbers
        assert (await own.tasks.summary("crowd"))[0].counts == {"Succeeded": 240}
        assert len([one async for one in own.tasks.list("crowd", status="Succeeded")]) == 240
    assert list(client.map("crowd", numbers[:50], at_once=20, wait_s=60)) == numbers[:50]


async def test_an_end_without_an_answer_is_raised_by_its_kind(node: NodeProcess, client: Client) -> None:
    make(client, "moribund", FAIL)
    configure(client, "moribund", maxAsyncRetryAttempts=0)
    async with AsyncClient(node.credentials) as own:
        with pytest.raises(TaskFailed, match=r"ended Failed: .*last words") as failed:
            await own.submit("moribund", b"last words").result(PATIENCE_S)
        assert failed.value.task.status == "Failed"
        waits = await own.submit("moribund", b"", delay_s=600)
        with pytest.raises(TaskNotEnded):
            await waits.result(0.05)
        assert (await own.tasks.why("moribund", waits.task_id)).reason == "Delayed"
        await own.tasks.stop("moribund", waits.task_id)
        with pytest.raises(TaskStopped):
            await waits.result(PATIENCE_S)
        configure(client, "moribund", maxAsyncRetryAttempts=8, maxAsyncEventAgeInSeconds=1)
        with pytest.raises(TaskExpired):
            await own.submit("moribund", b"").result(PATIENCE_S)
        with pytest.raises(TaskFailed):
            await anext(own.map("moribund", [b"a", b"b", b"c"], at_once=2, wait_s=PATIENCE_S))


async def test_many_are_run_again_with_a_correction_and_each_only_once(node: NodeProcess, client: Client) -> None:
    strict = "import json\n\ndef handler(event, context):\n    return json.dumps(json.loads(event)['fixed'])\n"
    make(client, "mendable", strict)
    configure(client, "mendable", maxAsyncRetryAttempts=0)
    async with AsyncClient(node.credentials) as own:
        broken = [own.submit("mendable", f'{{"n": {number}}}', task_id=f"n{number:03}") for number in range(120)]
        await asyncio.gather(*(one.wait(60) for one in broken))
        pages = [page async for page in own.tasks.rerun_pages("mendable", edit={"merge": {"fixed": True}})]
        assert [len(page.task_ids) for page in pages] == [100, 20]
        answers = [own.tasks.wait("mendable", task_id, 60) for page in pages for task_id in page.task_ids]
        assert {task.return_payload for task in await asyncio.gather(*answers)} == {"true"}
        again = [page async for page in own.tasks.rerun_pages("mendable")]
        assert [len(page.task_ids) for page in again] == [0, 0]
        assert sum(len(page.skipped) for page in again) == 120


async def test_a_wait_outlives_a_kill_of_the_node(tmp_path: Path) -> None:
    first = NodeProcess(tmp_path, "--log-level", "warning")
    first.start()
    with Client(first.credentials) as client:
        make(client, "patient", ECHO)
    async with AsyncClient(first.credentials) as own:
        submitted = await own.submit("patient", b"through all", delay_s=1.5)
        answer = asyncio.ensure_future(submitted.result(60))
        await submitted.get()
        first.process.kill()
        await asyncio.to_thread(first._end)
        second = NodeProcess(tmp_path, "--log-level", "warning", "--port", first.endpoint.rpartition(":")[2])
        await asyncio.to_thread(second.start)
        assert await answer == b"through all"
    assert await asyncio.to_thread(second.stop) == 0
