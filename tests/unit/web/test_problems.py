"""Errors on the wire."""

from __future__ import annotations

import json
import logging

import pytest

from functory.model import errors
from functory.web import problems

REQUEST_ID = "1-65a77fbb-157f3f32-000000000001"


def every_error() -> list[type[errors.FunctoryError]]:
    """All classes of the tree."""
    found = [errors.FunctoryError]
    for cls in found:
        found.extend(cls.__subclasses__())
    return found


@pytest.mark.parametrize("cls", every_error())
def test_every_error_of_the_tree_has_a_status_and_its_code_on_the_wire(cls: type[errors.FunctoryError]) -> None:
    status, headers, body = problems.problem(cls("what happened"), REQUEST_ID)
    shown = json.loads(body)
    assert set(shown) == {"Code", "Message", "RequestId"}
    assert (shown["Code"], shown["RequestId"]) == (cls.code, REQUEST_ID)
    assert "what happened" in shown["Message"]
    assert 400 <= status < 600
    found = dict(headers)
    assert found[b"x-fc-request-id"] == found[b"x-acs-request-id"] == REQUEST_ID.encode()
    assert found[b"content-length"] == b"%d" % len(body)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidArgument("x"), 400),
        (errors.EntityTooLarge("x"), 400),
        (errors.PathNotSupported("x"), 400),
        (errors.SignatureNotMatch("x"), 403),
        (errors.InvalidAccessKey("x"), 403),
        (errors.FunctionNotFound("f"), 404),
        (errors.RequestNotFound("x"), 404),
        (errors.FunctionAlreadyExists("f"), 409),
        (errors.ConcurrentUpdate("x"), 409),
        (errors.PreconditionFailed("x"), 412),
        (errors.Throttled("x"), 429),
        (errors.StorageCorrupt("x"), 500),
        (errors.Unavailable("x"), 503),
        (ValueError("x"), 500),
    ],
)
def test_the_status_is_the_official_one(error: Exception, status: int) -> None:
    assert problems.problem(error, REQUEST_ID)[0] == status


def test_a_hint_follows_the_message() -> None:
    _, _, body = problems.problem(errors.InvalidArgument("cpu 7 is not valid", hint="give 0.35"), REQUEST_ID)
    assert json.loads(body)["Message"] == "cpu 7 is not valid (give 0.35)"


def test_throttling_says_when_to_come_back_in_both_units_and_nothing_else_does() -> None:
    _, headers, _ = problems.problem(errors.Throttled("busy", retry_after_ms=1500), REQUEST_ID)
    assert (dict(headers)[b"retry-after"], dict(headers)[b"x-acs-retry-after"]) == (b"2", b"1500")
    for other in (errors.Unavailable("x"), errors.InvalidArgument("x"), ValueError("x")):
        assert b"x-acs-retry-after" not in dict(problems.problem(other, REQUEST_ID)[1])


def test_an_error_that_is_not_ours_tells_nothing_but_its_request_id(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "functory.web"):
        status, _, body = problems.problem(KeyError("password=hunter2"), REQUEST_ID)
    assert status == 500
    assert b"hunter2" not in body
    assert json.loads(body)["Code"] == "InternalServerError"
    [line] = caplog.records
    assert line.exc_info
    assert line.functory["request_id"] == REQUEST_ID  # type: ignore[attr-defined]


def test_a_message_is_cut_where_it_gets_long() -> None:
    _, _, body = problems.problem(errors.InvalidArgument("x" * 100_000), REQUEST_ID)
    assert len(body) < 2200
