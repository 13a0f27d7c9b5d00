"""Tasks by the official Python SDK, field by field. Runs in its own environment, as `official.py` does."""

from __future__ import annotations

import time
from typing import Any

import official  # type: ignore[import-not-found]
from alibabacloud_fc20230330 import models  # type: ignore[import-not-found]
from alibabacloud_tea_util.models import RuntimeOptions  # type: ignore[import-not-found]

NAME = f"{official.PREFIX}work"
SLOW = """
import time

def handler(event, context):
    if event == b"sleep":
        time.sleep(60)
    if event == b"fail":
        raise ValueError("as wished")
    return b"answer to " + event
"""
PATIENCE_S = 30


def submit(client: Any, task_id: str, body: bytes = b"", **more: Any) -> str:
    """Hands a task over; its request id."""
    headers = models.InvokeFunctionHeaders(x_fc_invocation_type="Async", x_fc_async_task_id=task_id, **more)
    answer = client.invoke_function_with_options(
        NAME, models.InvokeFunctionRequest(body=body), headers, RuntimeOptions()
    )
    assert answer.status_code == 202, answer.status_code
    return str({key.lower(): value for key, value in answer.headers.items()}["x-fc-request-id"])


def get(client: Any, task_id: str) -> Any:
    """GetAsyncTask."""
    return client.get_async_task(NAME, task_id, models.GetAsyncTaskRequest()).body


def reached(client: Any, task_id: str, *states: str) -> Any:
    """The task once it stands in one of these states."""
    deadline = time.monotonic() + PATIENCE_S
    while (task := get(client, task_id)).status not in states:
        assert time.monotonic() < deadline, task
        time.sleep(0.02)
    return task


def listed(client: Any, **query: Any) -> list[str]:
    """One page of ListAsyncTasks."""
    page = client.list_async_tasks(NAME, models.ListAsyncTasksRequest(**query)).body
    return [one.task_id for one in page.tasks]


def fields(client: Any) -> None:
    """Every field of AsyncTask and AsyncTaskEvent, of a success and of a retried failure."""
    given = models.PutAsyncInvokeConfigInput(async_task=True, max_async_retry_attempts=1)
    client.put_async_invoke_config(NAME, models.PutAsyncInvokeConfigRequest(body=given))
    before_ms = int(time.time() * 1000) - 1
    request_id = submit(client, "good", b"one")
    task = reached(client, "good", "Succeeded")
    after_ms = int(time.time() * 1000) + 1
    assert (task.task_id, task.request_id, task.qualifier) == ("good", request_id, "LATEST"), task
    assert task.function_arn.endswith(f":functions/{NAME}"), task.function_arn
    assert (task.task_payload, task.return_payload, task.task_error_message) == ("one", "answer to one", ""), task
    assert (task.already_retried_times, task.destination_status) == (0, ""), task
    assert before_ms <= task.started_time <= task.end_time <= after_ms, task
    assert task.duration_ms == task.end_time - task.started_time
    assert task.instance_id
    assert [one.event_id for one in task.events] == [1, 2, 3]
    assert [one.status for one in task.events] == ["Enqueued", "Running", "Succeeded"]
    assert before_ms <= task.events[0].timestamp <= task.events[2].timestamp == task.end_time
    submit(client, "bad", b"fail")
    bad = reached(client, "bad", "Failed")
    assert (bad.already_retried_times, bad.events[-1].status) == (1, "Failed"), bad
    assert [one.status for one in bad.events] == ["Enqueued", "Running", "Retrying", "Running", "Failed"], bad
    assert bad.events[2].event_detail
    assert "as wished" in bad.task_error_message
    assert "as wished" in bad.return_payload


def filters(client: Any) -> None:
    """Every query parameter of ListAsyncTasks, alone and together."""
    good, bad = get(client, "good"), get(client, "bad")
    submit(client, "later", common_headers={"x-fc-async-delay": "600"})
    assert listed(client) == ["later", "bad", "good"], "newest first"
    assert listed(client, sort_order_by_time="desc") == ["later", "bad", "good"]
    assert listed(client, sort_order_by_time="asc") == ["good", "bad", "later"]
    for status, found in (("Succeeded", "good"), ("Failed", "bad"), ("Enqueued", "later")):
        assert listed(client, status=status) == [found]
    assert listed(client, status="Running") == []
    assert listed(client, prefix="go") == ["good"]
    assert listed(client, qualifier="LATEST", status="Failed") == ["bad"]
    assert listed(client, qualifier="nothing") == []
    bad_ms = bad.events[0].timestamp
    assert listed(client, started_time_begin=bad_ms) == ["later", "bad"]
    assert listed(client, started_time_end=good.events[0].timestamp) == ["good"]
    assert listed(client, started_time_begin=bad_ms, started_time_end=bad_ms) == ["bad"]
    shown = client.list_async_tasks(NAME, models.ListAsyncTasksRequest(prefix="good", include_payload=True)).body.tasks
    hidden = client.list_async_tasks(NAME, models.ListAsyncTasksRequest(prefix="good")).body.tasks
    assert (shown[0].task_payload, hidden[0].task_payload) == ("one", "")
    for wrong in ({"limit": 0}, {"limit": 101}, {"status": "Lost"}, {"sort_order_by_time": "up"}, {"next_token": "x"}):
        official.refused("InvalidArgument", 400, lambda asked=wrong: listed(client, **asked))


def pages(client: Any) -> None:
    """Pages neither repeat nor leave out what was there when the first was read, while more comes, in either order."""
    for number in range(25):
        submit(client, f"page{number:02}", common_headers={"x-fc-async-delay": "600"})
    names = [f"page{number:02}" for number in range(25)]
    for order, wanted in (("asc", names), ("desc", names[::-1])):
        seen: list[str] = []
        token = ""
        while True:
            asked = models.ListAsyncTasksRequest(prefix="page", limit=10, sort_order_by_time=order, next_token=token)
            page = client.list_async_tasks(NAME, asked).body
            seen += [one.task_id for one in page.tasks]
            submit(client, f"page{order}{len(seen)}", common_headers={"x-fc-async-delay": "600"})
            token = page.next_token or ""
            if not token:
                break
        assert [one for one in seen if one in names] == wanted, seen
        assert len(set(seen)) == len(seen)


def stops(client: Any) -> None:
    """StopAsyncTask: of what waits, of what runs, of what is over, of what was never there."""
    stop, asked = client.stop_async_task, models.StopAsyncTaskRequest()
    assert stop(NAME, "later", asked).status_code == 204
    assert get(client, "later").status == "Stopped"
    submit(client, "running", b"sleep")
    reached(client, "running", "Running")
    assert stop(NAME, "running", asked).status_code == 204
    stopped = reached(client, "running", "Stopped")
    assert [one.status for one in stopped.events] == ["Enqueued", "Running", "Stopping", "Stopped"], stopped
    official.refused("StatefulAsyncInvocationEnded", 409, stop, NAME, "good", asked)
    official.refused("StatefulAsyncInvocationNotFound", 404, stop, NAME, "none", asked)


def configs(client: Any) -> None:
    """Each field of the configuration is kept per qualifier, shown, replaced, and what is not served is named."""

    def put(qualifier: str = "", **given: Any) -> Any:
        body = models.PutAsyncInvokeConfigInput(**given)
        return client.put_async_invoke_config(
            NAME, models.PutAsyncInvokeConfigRequest(qualifier=qualifier or None, body=body)
        ).body

    client.publish_function_version(
        NAME, models.PublishFunctionVersionRequest(body=models.PublishVersionInput(description="one"))
    )
    to = models.DestinationConfig(
        on_success=models.Destination(destination=f"acs:fc:cn-hangzhou::functions/{official.PREFIX}told"),
        on_failure=models.Destination(destination="acs:fc:cn-hangzhou::functions/other/prod"),
    )
    kept = put(
        "1",
        async_task=False,
        max_async_retry_attempts=8,
        max_async_event_age_in_seconds=604_800,
        destination_config=to,
    )
    assert kept.function_arn.endswith(f"{NAME}/1"), kept.function_arn
    assert (kept.async_task, kept.max_async_retry_attempts, kept.max_async_event_age_in_seconds) == (False, 8, 604_800)
    assert kept.destination_config.on_success.destination == to.on_success.destination
    assert kept.destination_config.on_failure.destination == to.on_failure.destination
    assert kept.created_time <= kept.last_modified_time
    got = client.get_async_invoke_config(NAME, models.GetAsyncInvokeConfigRequest(qualifier="1")).body
    assert got.to_map() == kept.to_map()
    found = client.list_async_invoke_configs(models.ListAsyncInvokeConfigsRequest(function_name=NAME, limit=1)).body
    rest = client.list_async_invoke_configs(
        models.ListAsyncInvokeConfigsRequest(function_name=NAME, limit=1, next_token=found.next_token)
    ).body
    assert sorted([one.function_arn[-2:] == "/1" for one in (*found.configs, *rest.configs)]) == [False, True]
    for kind in ("acs:mns:cn-hangzhou:1:/queues/q/messages", "acs:eventbridge:cn-hangzhou:1:eventbus/default"):
        wrong = models.DestinationConfig(on_failure=models.Destination(destination=kind))
        official.refused("InvalidArgument", 400, put, "1", destination_config=wrong)
    removed = models.DeleteAsyncInvokeConfigRequest(qualifier="1")
    assert client.delete_async_invoke_config(NAME, removed).status_code == 204
    gone = models.GetAsyncInvokeConfigRequest(qualifier="1")
    official.refused("AsyncConfigNotExists", 404, client.get_async_invoke_config, NAME, gone)
    client.delete_function_version(NAME, "1")


def main() -> None:
    """All of it, on a function of its own."""
    client = official.connect()
    official.create(client, NAME, SLOW, timeout=120)
    try:
        for step in (fields, filters, stops, pages, configs):
            step(client)
    finally:
        client.delete_function(NAME)


if __name__ == "__main__":
    main()
