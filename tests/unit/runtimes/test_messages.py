"""HTTP as the supervisor of programs reads it: however the bytes are cut, and whatever a program sends."""

from __future__ import annotations

import pytest

from functory.runtimes.bootstrap import messages


class Heard:
    """What a parser told."""

    def __init__(self, *, until_end: bool = True) -> None:
        self.until_end = until_end
        self.heads: list[tuple[list[str], dict[str, str]]] = []
        self.bodies: list[bytes] = []
        self.open = b""
        self.message = messages.Message(self._head, self._piece, self._end)

    def _head(self, words: list[str], headers: dict[str, str]) -> bool:
        self.heads.append((words, headers))
        return self.until_end

    def _piece(self, data: bytes) -> None:
        self.open += data

    def _end(self) -> None:
        self.bodies.append(self.open)
        self.open = b""


SENT = (
    b"HTTP/1.1 100 Continue\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A:  b \r\n\r\nhello"
    b"HTTP/1.1 204 No Content\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nT: v\r\n\r\n"
    b"HTTP/1.1 404 No\r\nSet-Cookie: a=1, 2\r\nset-cookie: b\r\nvary: x\r\nVary: y\r\nContent-Length: 0\r\n\r\n"
)


@pytest.mark.parametrize("size", [1, 2, 7, 64, len(SENT)])
def test_messages_are_whole_however_they_are_cut(size: int) -> None:
    heard = Heard()
    for at in range(0, len(SENT), size):
        heard.message.feed(SENT[at : at + size])
    assert [words[1] for words, _ in heard.heads] == ["100", "200", "204", "200", "404"]
    assert heard.bodies == [b"", b"hello", b"", b"abc0123456789abcdef", b""]
    assert heard.heads[1][1] == {"content-length": "5", "x-a": "b"}
    assert heard.heads[4][1]["set-cookie"] == "a=1, 2\nb"
    assert heard.heads[4][1]["vary"] == "x, y"
    assert heard.message.ended()


def test_an_answer_without_length_ends_with_the_connection_and_a_request_at_once() -> None:
    answer = Heard()
    answer.message.feed(b"HTTP/1.0 200 OK\r\n\r\nso f")
    answer.message.feed(b"ar")
    assert answer.bodies == []
    assert answer.message.ended()
    assert answer.bodies == [b"so far"]
    request = Heard(until_end=False)
    request.message.feed(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
    assert request.bodies == [b""]


def test_a_connection_that_closes_within_a_message_is_not_its_end() -> None:
    for sent in (b"HT", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", b"HTTP/1.1 200 OK\r\n"):
        heard = Heard()
        heard.message.feed(sent)
        assert not heard.message.ended()


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a" * 70_000,
    ],
    ids=lambda sent: repr(sent[-20:]),
)
def test_what_is_not_http_is_refused(sent: bytes) -> None:
    with pytest.raises(messages.Broken):
        Heard().message.feed(sent)


def test_a_header_cannot_hold_another() -> None:
    assert messages.header("x-a", "b\r\nx-c: d ü") == b"x-a: b??x-c: d ?\r\n"
