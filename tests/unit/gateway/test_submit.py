"""What the headers of an asynchronous call ask for."""

from __future__ import annotations

import os

import pytest

from functory.gateway import head, submit
from functory.gateway.body import FileBody
from functory.model import errors
from functory.tasks.accept import Accepted, Submission


def asked(*headers: str, body: FileBody | None = None) -> Submission:
    lines = ("POST /2023-03-30/functions/f/invocations HTTP/1.1", "Host: a", "X-Fc-Invocation-Type: Async", *headers)
    parsed = head.parse("\r\n".join((*lines, "", "")).encode())
    return submit.submission(
        parsed, account_id="1", name="f", qualifier="LATEST", request_id="r", payload=b"x", body=body
    )


def test_without_headers_it_is_a_task_under_its_request_id_now() -> None:
    one = asked()
    assert (one.task_id, one.request_id, one.delay_s, one.priority) == ("", "r", 0, 5)


def test_both_names_of_the_task_id_are_read() -> None:
    assert asked("x-fc-async-task-id: a").task_id == "a"
    assert asked("x-fc-stateful-async-invocation-id: b").task_id == "b"


def test_delay_and_priority_are_numbers() -> None:
    one = asked("x-fc-async-delay: 2.5", "x-fc-async-priority: 1")
    assert (one.delay_s, one.priority) == (2.5, 1)


@pytest.mark.parametrize("header", ["x-fc-async-delay: soon", "x-fc-async-priority: high", "x-fc-async-priority: inf"])
def test_anything_else_is_refused_by_name(header: str) -> None:
    with pytest.raises(errors.InvalidArgument) as refused:
        asked(header)
    assert header.split(":")[0] in str(refused.value)


def in_a_file(size_bytes: int) -> FileBody:
    body = FileBody(os.memfd_create("body"))
    body.append(b"y" * size_bytes)
    return body


def test_a_payload_that_lies_in_a_file_is_read_if_a_task_may_be_so_long() -> None:
    assert asked(body=in_a_file(131_072)).payload == b"y" * 131_072


def test_a_longer_one_is_refused_without_being_read() -> None:
    body = in_a_file(131_073)
    with pytest.raises(errors.EntityTooLarge, match="131073 bytes: at most 131072"):
        asked(body=body)
    body.close()


def test_the_answer_is_202_with_both_ids_and_no_body() -> None:
    data = submit.answer(Accepted("t", "r", 1), keep_alive=False)
    assert data.startswith(b"HTTP/1.1 202 Accepted\r\n")
    assert b"x-fc-async-task-id: t\r\n" in data
    assert b"connection: close\r\n" in data
    assert data.endswith(b"\r\n\r\n")
