"""The SQL files: well formed, all of it used, all of it valid for the schema."""

from __future__ import annotations

import re
from pathlib import Path

import apsw
import pytest

from functory.store import queries
from functory.store.sqlite import connect

FILES = ("functions", "keys", "layers", "requests")
SOURCES = Path(queries.__file__).parent / "sqlite"


@pytest.fixture
def database(tmp_path: Path) -> apsw.Connection:
    connection = connect.writer(tmp_path / "x.db")
    for name, sql in queries.load("requests").items():
        if name.startswith("create_"):
            connection.execute(sql.replace("{day}", "20260101"))
    return connection


@pytest.mark.parametrize("file", FILES)
def test_every_query_is_valid_for_the_schema(file: str, database: apsw.Connection) -> None:
    for name, sql in queries.load(file).items():
        if name.startswith(("create_", "drop_")):
            continue
        explained = "EXPLAIN " + sql.replace("{day}", "20260101")
        count = len(re.findall(r"\?", sql))
        bindings = (1,) * count if count else dict.fromkeys(re.findall(r":([a-z_]+)", sql), 1)
        assert database.execute(explained, bindings).fetchone(), name


@pytest.mark.parametrize("file", FILES)
def test_every_query_is_used_and_every_used_one_is_there(file: str) -> None:
    source = (SOURCES / f"{file}.py").read_text()
    there = set(queries.load(file))
    used = set(re.findall(r'"([a-z_]+)"', source))
    used |= {f"{verb}_{table}" for verb in ("create", "add") for table in ("records", "logs") if file == "requests"}
    if file == "requests":
        used |= {"newest_of_function", "newest_failed_of_function"}
    assert there <= used
    for name in re.findall(r'SQL\["([a-z_]+)"\]', source):
        assert name in there


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("newest", "by_account"),
        ("newest_failed", "failed"),
        ("newest_of_function", "by_function"),
        ("records_at", "by_account"),
        ("logs_at", "by_time"),
        ("logs_of_function", "by_function"),
    ],
)
def test_pages_are_read_in_the_order_of_an_index(query: str, index: str, database: apsw.Connection) -> None:
    sql = queries.load("requests")[query].replace("{day}", "20260101")
    bindings = dict.fromkeys(re.findall(r":([a-z_]+)", sql), 1)
    plan = " ".join(str(row[3]) for row in database.execute("EXPLAIN QUERY PLAN " + sql, bindings))
    assert f"20260101_{index}" in plan
    assert "TEMP B-TREE FOR ORDER BY" not in plan


def test_two_queries_of_one_name_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="two queries are named x"):
        queries.parse("-- name: x\nSELECT 1;\n-- name: x\nSELECT 2;\n")


def test_comments_are_no_part_of_a_query() -> None:
    text = "-- About the file.\n\n-- name: one\n-- What it does.\nSELECT 1;\n\n-- name: two\nSELECT\n  2;\n"
    assert queries.parse(text) == {"one": "SELECT 1;", "two": "SELECT\n  2;"}
