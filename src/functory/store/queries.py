"""Named SQL: each file of `store/sql` is a list of queries with a name and a sentence, and each is read once.

-- name: get
-- The current revision.
SELECT body FROM functions WHERE account_id = :account_id AND name = :name;
"""

from __future__ import annotations

import re
from importlib import resources
from typing import NamedTuple

_FOLDER = resources.files("functory.store") / "sql"
_HEAD = re.compile(r"^-- name: ([a-z_]+)\n", re.MULTILINE)
_MIGRATION = re.compile(r"([0-9]{4})_([a-z0-9_]+)\.sql")


class Migration(NamedTuple):
    """One step of the schema."""

    version: int
    name: str
    sql: str


def load(file: str) -> dict[str, str]:
    """The queries of `store/sql/<file>.sql` by name."""
    return parse((_FOLDER / f"{file}.sql").read_text())


def parse(text: str) -> dict[str, str]:
    """The queries of a file's text by name; what stands before the first is the file's own comment."""
    parts = _HEAD.split(text)[1:]
    queries: dict[str, str] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        if name in queries:
            raise ValueError(f"two queries are named {name}")
        queries[name] = "\n".join(line for line in body.splitlines() if not line.startswith("--")).strip()
    return queries


def migrations() -> list[Migration]:
    """All migrations in order; numbered 1, 2, 3, … without a gap."""
    found = [
        Migration(int(match[1]), match[2], entry.read_text())
        for entry in (_FOLDER / "migrations").iterdir()
        if (match := _MIGRATION.fullmatch(entry.name))
    ]
    found.sort()
    if [step.version for step in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"migrations are not numbered 1, 2, 3, …: {[step.version for step in found]}")
    return found
