"""What a request head is understood as."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functory.gateway import head


def parse(*lines: str) -> head.Head:
    return head.parse("\r\n".join((*lines, "", "")).encode("latin-1"))


@pytest.mark.parametrize(
    ("target", "name", "qualifier"),
    [
        ("/2023-03-30/functions/echo/invocations", "echo", "LATEST"),
        ("/2023-03-30/functions/echo/invocations?qualifier=prod", "echo", "prod"),
        ("/2023-03-30/functions/echo/invocations?qualifier=", "echo", "LATEST"),
        ("/2023-03-30/functions/e%63ho/invocations?x=1&qualifier=3", "echo", "3"),
    ],
)
def test_a_call_is_recognised_by_its_target(target: str, name: str, qualifier: str) -> None:
    call = parse(f"POST {target} HTTP/1.1", "Host: a").call
    assert call is not None
    assert (call.name, call.qualifier) == (name, qualifier)


@pytest.mark.parametrize(
    "line",
    [
        "GET /2023-03-30/functions/echo/invocations HTTP/1.1",
        "POST /2023-03-30/functions/echo HTTP/1.1",
        "POST /2023-03-30/functions//invocations HTTP/1.1",
        "POST /2023-03-30/functions/a/b/invocations HTTP/1.1",
        "POST /2016-08-15/functions/echo/invocations HTTP/1.1",
    ],
)
def test_anything_else_is_not_a_call(line: str) -> None:
    assert parse(line, "Host: a").call is None


def test_what_a_call_needs_is_read_once() -> None:
    one = parse(
        "POST /2023-03-30/functions/f/invocations HTTP/1.1",
        "Host: a",
        "Content-Length: 12",
        "X-Fc-Log-Type: Tail",
        "X-FC-Invocation-Type: ASYNC",
        "Authorization: Bearer x",
        "Expect: 100-Continue",
    )
    assert (one.content_length, one.log_tail, one.invocation_type) == (12, True, b"async")
    assert (one.authorization, one.expects_continue) == (b"Bearer x", True)


@given(st.binary(max_size=300))
def test_any_bytes_are_either_a_head_or_refused(noise: bytes) -> None:
    status, version = 0, ""
    try:
        version = head.parse(noise + b"\r\n\r\n").version
    except head.BadHead as bad:
        status = bad.status
    assert version in ("1.0", "1.1") or 400 <= status < 600


@given(
    st.lists(
        st.sampled_from(
            [
                "Host: a",
                "Content-Length: 3",
                "Transfer-Encoding: chunked",
                "Connection: close",
                "Content-Length: 4",
                "TE: x",
                "Host: b",
            ]
        ),
        max_size=5,
    )
)
def test_no_combination_leaves_the_length_of_a_body_open(lines: list[str]) -> None:
    try:
        one = parse("POST / HTTP/1.1", *lines)
    except head.BadHead:
        return
    lengths = [line for line in lines if line.startswith("Content-Length")]
    assert len(lengths) + one.chunked <= 1
    assert sum(line.startswith("Host") for line in lines) == 1
