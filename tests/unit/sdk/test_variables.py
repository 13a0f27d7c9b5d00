"""What stands for `${…}`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from functory.sdk.errors import ProjectError
from functory.sdk.variables import Variables

ROOTS: dict[str, Any] = {
    "vars": {"a": {"b": [1, {"c": "deep"}]}, "n": 5, "yes": True, "again": "${vars.n}", "round": "${vars.round}"},
    "resources": {"other": {"props": {"functionName": "o-${vars.n}"}}},
}


def fill(tmp_path: Path, value: Any, **environ: str) -> Any:
    (tmp_path / "q.sql").write_text("select 1")
    (tmp_path / "m.json").write_text('{"k": [7]}')
    variables = Variables(tmp_path / "s.yaml", ROOTS, environ, {"AccountID": "42"})
    return variables.fill(value, {"name": "me", "props": {"timeout": 3}})


@pytest.mark.parametrize(
    ("text", "stands_for"),
    [
        ("plain $x {y}", "plain $x {y}"),
        ("${vars.n}", 5),
        ("${ vars.n }", 5),
        ("a ${vars.n} b ${vars.yes}", "a 5 b true"),
        ("${vars.a.b[1].c}", "deep"),
        ("${vars.a.b.0}", 1),
        ("${vars.a}", {"b": [1, {"c": "deep"}]}),
        ("${vars.again}", 5),
        ("${this.name}-${this.props.timeout}", "me-3"),
        ("${resources.other.props.functionName}", "o-5"),
        ("${env('SET')}", "value"),
        ("${env(SET)}", "value"),
        ('${env("NOT", "d e")}', "d e"),
        ("${env('NOT', d)}", "d"),
        ("${env('NOT', '')}", ""),
        ("${env.SET}", "value"),
        ("${env.NOT:-x:y/z}", "x:y/z"),
        ("${file('./q.sql')}", "select 1"),
        ("${file(./q.sql)}", "select 1"),
        ("${json(file('./m.json'))}", {"k": [7]}),
        ("${json(file('./m.json')).k[0]}", 7),
        ("${yaml('a: 1')}", {"a": 1}),
        ("${base64('hi')}", "aGk="),
        ("${str(vars.n)}", "5"),
        ("${config('AccountID')}", "42"),
        ({"${vars.n}": ["${vars.n}"]}, {"5": [5]}),
    ],
)
def test_each_form_stands_for_its_value(tmp_path: Path, text: Any, stands_for: Any) -> None:
    assert fill(tmp_path, text, SET="value") == stands_for


def test_a_path_is_one_beside_the_file(tmp_path: Path) -> None:
    assert fill(tmp_path, "${path('./q.sql')}") == str(tmp_path / "q.sql")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("${env('NOT')}", "the environment has no NOT"),
        ("${vars.nope}", "leads nowhere"),
        ("${vars.a.b[9]}", "leads nowhere"),
        ("${nope}", "not known here"),
        ("${nope(1)}", "not known here"),
        ("${secret('x')}", "not known here"),
        ("${}", "not understood"),
        ("${vars.n + 1}", "not understood"),
        ("${env('a', 'b', 'c')}", "takes one value"),
        ("${env(}", "not understood"),
        ("${file('./nope')}", "cannot be read"),
        ("${path('./nope')}", "not there"),
        ("${json('{')}", "is not JSON"),
        ("${config('Nope')}", "known is AccountID"),
        ("${vars.round}", "without end"),
        ("x${vars.round}", "without end"),
    ],
)
def test_what_stands_for_nothing_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ProjectError) as caught:
        fill(tmp_path, text)
    assert re.search(says, f"{caught.value.message} {caught.value.hint}")
