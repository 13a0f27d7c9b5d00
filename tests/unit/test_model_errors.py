"""The error tree: each class a sentence, a code, and whether a retry helps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from functory.model import errors


def _tree(of: type[errors.FunctoryError]) -> Iterator[type[errors.FunctoryError]]:
    yield of
    for child in of.__subclasses__():
        yield from _tree(child)


ALL_ERRORS = [cls for cls in _tree(errors.FunctoryError) if cls.__module__ == errors.__name__]


@pytest.mark.parametrize("cls", ALL_ERRORS)
def test_every_error_is_a_sentence_with_a_code_and_stands_in_the_drawing(cls: type[errors.FunctoryError]) -> None:
    assert cls.__doc__
    assert cls.__doc__.strip().endswith(".")
    assert cls.code.replace(".", "").isidentifier()
    assert isinstance(cls.retry, bool)
    assert cls.__name__ in (errors.__doc__ or "")


def test_an_error_without_a_message_says_its_own_sentence() -> None:
    assert str(errors.Unavailable()) == "The node cannot take this request now."


def test_a_hint_follows_the_message() -> None:
    failure = errors.InvalidArgument("timeout 0 is not allowed", hint="1 to 86400 seconds")
    assert (failure.message, failure.hint) == ("timeout 0 is not allowed", "1 to 86400 seconds")
    assert str(failure) == "timeout 0 is not allowed (1 to 86400 seconds)"


def test_a_missing_function_is_named_in_the_official_words() -> None:
    assert str(errors.FunctionNotFound("echo")) == "function 'echo' does not exist"
    assert str(errors.FunctionAlreadyExists("echo")) == "function 'echo' already exists"


def test_the_same_request_may_succeed_later_only_where_the_caller_is_not_at_fault() -> None:
    may_retry = {cls.__name__ for cls in ALL_ERRORS if cls.retry}
    assert {"Throttled", "Unavailable", "ConcurrentUpdate"} <= may_retry
    assert not any(cls.retry for cls in ALL_ERRORS if issubclass(cls, errors.RequestError | errors.Denied))
    assert not errors.StorageCorrupt.retry
