"""What comes back over the wire: typed, or one of our errors."""

from __future__ import annotations

import base64
import socket

import pytest

from functory.sdk import Client, ConnectionFailed, Credentials, answers, errors, wire
from functory.sdk.calls import invoked
from functory.sdk.functions import FunctionPage
from functory.sdk.requests import Cold, Request, RequestPage
from functory.sdk.wire import Reply


def test_an_error_body_becomes_an_api_error_with_its_code() -> None:
    body = b'{"Code":"FunctionNotFound","Message":"function \'x\' does not exist","RequestId":"1-a"}'
    failure = errors.from_answer(404, {"x-acs-retry-after": "250"}, body)
    assert (failure.status, failure.code, failure.request_id) == (404, "FunctionNotFound", "1-a")
    assert str(failure) == "FunctionNotFound: function 'x' does not exist"
    assert failure.retry_after_ms == 250


@pytest.mark.parametrize("body", [b"", b"<html>bad gateway</html>", b"[1]", b'{"Code": 5}', b"\xff\xfe"])
def test_an_error_that_is_not_ours_still_has_a_status_and_a_sentence(body: bytes) -> None:
    failure = errors.from_answer(502, {"retry-after": "3", "x-fc-request-id": "1-b"}, body)
    assert (failure.status, failure.code, failure.request_id, failure.retry_after_ms) == (502, "HTTP502", "1-b", 3000)
    assert failure.message


def test_an_invocation_is_read_from_headers_and_body() -> None:
    headers = {
        "x-fc-request-id": "1-a", "x-fc-invocation-duration": "1.88", "x-fc-max-memory-usage": "31.12",
        "x-fc-instance-id": "c-1", "x-fc-error-type": "UnhandledInvocationError",
        "x-fc-log-result": base64.b64encode(b"said\n").decode(),
    }  # fmt: skip
    found = invoked(Reply(200, headers, b"\x00body"))
    assert (found.payload, found.duration_ms, found.memory_mb) == (b"\x00body", 1.88, 31.12)
    assert (found.failed, found.log_tail, found.instance_id) == (True, b"said\n", "c-1")


def test_headers_that_say_nonsense_count_as_not_said() -> None:
    found = invoked(Reply(200, {"x-fc-invocation-duration": "soon", "x-fc-log-result": "*"}, b""))
    assert (found.duration_ms, found.log_tail, found.failed) == (0, b"", False)


def test_unknown_fields_are_ignored_and_missing_lists_are_empty() -> None:
    page = wire.decode(FunctionPage, "ListFunctions", b'{"new": 1, "functions": [{"functionName": "a"}]}')
    assert [function.function_name for function in page.functions] == ["a"]
    assert wire.decode(RequestPage, "ListRequests", b"{}").requests == []


def test_an_answer_that_no_node_gives_is_said_to_be_none() -> None:
    with pytest.raises(ConnectionFailed, match="not what a Functory node says"):
        wire.decode(answers.Node, "GetNode", b"<html>")


def test_the_time_before_an_instance_is_made_is_what_the_cold_start_leaves_over() -> None:
    cold = Cold(fork_us=300, import_us=500, init_us=100)
    assert Request(request_id="1-a", queued_us=1000, cold=cold).waited_us == 100
    assert Request(request_id="1-a", queued_us=1000).waited_us == 1000
    assert Request(request_id="1-a", queued_us=800, cold=cold).waited_us == 0


def test_an_answer_is_written_as_the_api_writes_it() -> None:
    assert b'"costNanoUsd":153' in Request(request_id="1-a", cost_nano_usd=153).to_json()


def test_nobody_listening_is_said_with_a_hint() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: nobody else can take it meanwhile
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        keys = Credentials(endpoint=endpoint, access_key_id="k", access_key_secret="s")
        with Client(keys) as client, pytest.raises(ConnectionFailed, match="Connection refused") as caught:
            client.node()
    assert "./dev up" in caught.value.hint
