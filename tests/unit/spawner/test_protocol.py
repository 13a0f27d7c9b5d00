"""What the node and the spawner say to each other survives the way, and nothing else is believed."""

from __future__ import annotations

import msgspec
import pytest

from functory.model.instance import Exit, InstanceSpec
from functory.spawner import protocol

SPEC = InstanceSpec(
    instance_id="c-1",
    runtime="/usr/bin/python3",
    handler="a.b",
    code_dir="/code",
    environment={"A": "ü"},
    memory_mb=128,
)


@pytest.mark.parametrize("message", [protocol.Spawn(spec=SPEC), protocol.Kill(id="c-1"), protocol.Stop()])
def test_requests_survive_the_way(message: protocol.Request) -> None:
    assert protocol.decode_request(protocol.encode(message)) == message


@pytest.mark.parametrize(
    "message",
    [
        protocol.Ready(tier=protocol.TierReport(name="D", summary="none"), versions={"/usr/bin/python3": "3.11.2"}),
        protocol.Made(id="c-1", pid=7),
        protocol.Failed(id="c-1", reason="no memory"),
        protocol.Ended(exit=Exit(instance_id="c-1", signal=9, killed=True)),
    ],
)
def test_answers_survive_the_way(message: protocol.Answer) -> None:
    assert protocol.decode_answer(protocol.encode(message)) == message


@pytest.mark.parametrize(
    "data", [b"", b"{}", b'{"op":"made"}', b'{"op":"made","id":1,"pid":2}', b"\xff", b'{"op":"x"}']
)
def test_anything_else_is_refused(data: bytes) -> None:
    for decode in (protocol.decode_request, protocol.decode_answer):
        with pytest.raises(msgspec.MsgspecError):
            decode(data)
