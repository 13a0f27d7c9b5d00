"""A captured request against the real process: worth nothing the second time, whatever happened in between."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

import control_kit as kit
from e2e.node_process import NodeProcess
from functory.clock import SystemClock
from functory.model.account import AccessKey

pytestmark = [pytest.mark.server, pytest.mark.timeout(120)]

PATH = "/2023-03-30/functions"


def captured(node: NodeProcess, nonce: str, *, off_s: int = 0) -> dict[str, str]:
    """The headers of a signed request; `off_s`: by how much its client's clock is wrong."""
    own = node.credentials
    key = AccessKey(access_key_id=own.access_key_id, secret=own.access_key_secret, account_id=own.account_id)
    date = kit.date_text(SystemClock().now_ms() + off_s * 1000)
    return kit.sign("GET", PATH, {}, b"", key, date=date, nonce=nonce)


def send(node: NodeProcess, headers: dict[str, str]) -> tuple[int, str]:
    answer = httpx.get(node.endpoint + PATH, headers=headers)
    return answer.status_code, answer.json().get("Code", "")


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_request_that_was_captured_is_refused_by_the_next_node(tmp_path: Path, end: str) -> None:
    own = NodeProcess(tmp_path)
    own.start()
    requests = [captured(own, f"{off_s}", off_s=off_s) for off_s in (0, -600, 600)]
    assert [send(own, request) for request in requests] == [(200, "")] * 3
    assert send(own, requests[0]) == (403, "SignatureNotMatch")
    if end == "stop":
        assert own.stop() == 0
    else:
        own.process.kill()
        own._end()
    own = NodeProcess(tmp_path)
    own.start()
    assert [send(own, request) for request in requests] == [(403, "SignatureNotMatch")] * 3
    fresh = [captured(own, f"new{off_s}", off_s=off_s) for off_s in (0, -600, 600)]
    assert [send(own, request) for request in fresh] == [(200, "")] * 3
    assert own.stop() == 0
