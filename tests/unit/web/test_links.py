"""Signed links."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functory.model import errors
from functory.testing.clock import JumpingClock
from functory.web.links import Links

PATH = "/functory/v1/code/abc.zip"


def parts(query: str) -> tuple[str, str]:
    found = parse_qs(query)
    return found["expires"][0], found["signature"][0]


def test_a_link_opens_its_path_until_it_ends() -> None:
    clock = JumpingClock()
    links = Links(b"secret", clock)
    expires, signature = parts(links.sign(PATH, 60))
    links.check(PATH, expires, signature)
    clock.jump(61)
    with pytest.raises(errors.AccessDenied, match="ended"):
        links.check(PATH, expires, signature)


def test_another_path_time_or_secret_does_not_open() -> None:
    clock = JumpingClock()
    links = Links(b"secret", clock)
    expires, signature = parts(links.sign(PATH, 60))
    for path, at, by in [
        ("/functory/v1/code/abd.zip", expires, signature),
        (PATH, str(int(expires) + 1), signature),
        (PATH, expires, parts(Links(b"other", clock).sign(PATH, 60))[1]),
        (PATH, "", ""),
    ]:
        with pytest.raises(errors.AccessDenied, match="does not match"):
            links.check(path, at, by)


@given(st.text(), st.text(), st.text())
def test_any_text_is_refused_with_access_denied(path: str, expires: str, signature: str) -> None:
    with pytest.raises(errors.AccessDenied):
        Links(b"secret", JumpingClock()).check(path, expires, signature)
