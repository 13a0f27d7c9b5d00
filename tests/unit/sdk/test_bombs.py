"""Deploy files of a kilobyte that stand for gigabytes, or have no end: refused at once, by name."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from functory.sdk import functory_yaml, serverless_yaml, yaml_file
from functory.sdk.errors import ProjectError
from functory.sdk.variables import Variables


def rounds(first: str, step: str, number: int) -> str:
    """`a0: …` and further lines, each of which names the one before it often."""
    return "\n".join([f"a0: &a0 {first}", *(f"a{n}: &a{n} {step.format(n - 1)}" for n in range(1, number))])


ALIASES = rounds("[x, x]", "[" + "*a{0}, " * 10 + "]", 12)
MERGES = rounds("{x: 1}", "{{<<: [" + "*a{0}, " * 10 + "]}}", 12)
LONG = "text: &t " + "x" * 900_000 + "\nmany: [" + "*t, " * 5000 + "]"


@pytest.mark.parametrize("text", [ALIASES, MERGES, LONG], ids=["aliases", "merges", "one long text"])
def test_a_small_file_that_stands_for_a_large_one_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "functory.yaml"
    path.write_text(text)
    with pytest.raises(ProjectError, match="too large"):
        yaml_file.read(path)
    with pytest.raises(yaml.YAMLError, match="too large"):
        yaml_file.parse_bounded(text)


@pytest.mark.parametrize(
    ("roots", "text"),
    [
        ({f"v{n}": f"${{vars.v{n + 1}}}" * 40 for n in range(5)} | {"v5": "x" * 10}, "${vars.v0}"),
        ({"long": "x" * 1_000_000, "many": ["${vars.long}"] * 5000}, "${vars.many}"),
        ({"long": "x" * 1_000_000}, "${vars.long} " * 5000),
    ],
    ids=["texts of texts", "a list of one", "a text of one"],
)
def test_variables_that_stand_for_gigabytes_are_refused(tmp_path: Path, roots: dict[str, Any], text: str) -> None:
    with pytest.raises(ProjectError, match="longer than"):
        Variables(tmp_path / "s.yaml", {"vars": roots}, {}).fill(text)


def test_a_file_without_an_end_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("/dev/zero", "./pipe", "."):
        with pytest.raises(ProjectError, match="is not a file"):
            Variables(tmp_path / "s.yaml", {}, {}).fill(f"${{file('{name}')}}")


PIECES = st.sampled_from(
    [*"{}[]:,-&*!|>#'\"\n \t\\${}().", "a: ", "<<: *a", "&a ", "*a", "- ", "${vars.", "env(", "file('"]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=60).map("".join))
def test_whatever_a_file_says_the_answer_is_a_stack_or_a_sentence(tmp_path_factory: Any, text: str) -> None:
    path = tmp_path_factory.mktemp("bombs") / "functory.yaml"
    path.write_text(text)
    with contextlib.suppress(ProjectError):  # anything else fails
        functory_yaml.load(path, {})
    with contextlib.suppress(ProjectError):
        serverless_yaml.load(path, {}, {})
