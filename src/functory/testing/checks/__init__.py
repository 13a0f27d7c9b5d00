"""The published suites: what every back end of a seam promises, one coroutine per promise.

    @pytest.mark.parametrize("check", store.CHECKS, ids=checks.name)
    async def test_my_store_keeps_its_promise(check, tmp_path):
        await check(lambda: MyStore(tmp_path))

A check is given a maker. What it makes is not started, and every call makes another object over the same data, so that
a check can stop one and open the next. Checks raise AssertionError; they need no test runner.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def name(check: Callable[..., Any]) -> str:
    """What a test runner may call a check: its sentence without underscores."""
    return check.__name__.replace("_", " ")
