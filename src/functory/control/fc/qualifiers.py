"""Which version of a function a call means. There is one so far: LATEST."""

from __future__ import annotations

from functory.model import errors, ids


def check(function_name: str, pairs: list[tuple[str, str]]) -> str:
    """The qualifier that the query names; `VersionNotFound` or `AliasNotFound` for another than LATEST."""
    qualifier = dict(pairs).get("qualifier") or ids.LATEST
    if qualifier == ids.LATEST:
        return qualifier
    if qualifier.isdigit():
        raise errors.VersionNotFound(f"version '{qualifier[:64]}' of function '{function_name}' does not exist")
    raise errors.AliasNotFound(f"alias '{qualifier[:128]}' of function '{function_name}' does not exist")
