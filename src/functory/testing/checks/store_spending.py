"""What every store promises of usage added up (`store.base.Spending`)."""

from __future__ import annotations

import asyncio
from typing import Any

from functory.lifecycle import running
from functory.model.invocation import Status
from functory.model.spending import HOUR_MS, Line, Spent
from functory.model.usage import Mode
from functory.store.base import Store
from functory.testing.checks import samples
from functory.testing.checks.samples import ACCOUNT, NIGHT_S, Check, MakeStore, function, record

NIGHT_MS = NIGHT_S * 1000
EVER: dict[str, Any] = {"from_ms": 0, "until_ms": 1 << 52}


def _spent(name: str = "hello", line: Line = Line.STANDING, **numbers: Any) -> Spent:
    values: dict[str, Any] = {"account_id": ACCOUNT, "hour_ms": NIGHT_MS, **numbers}
    return Spent(function_name=name, line=line, **values)


async def what_records_come_to_is_added_up_by_line(make: MakeStore) -> None:
    async with running(store := make()):
        await store.requests.append(
            [
                record(1, billed_ms=7, cost_nano_usd=100),
                record(2, billed_ms=3, cost_nano_usd=20, status=Status.TIMEOUT),
                record(3, billed_ms=2, cost_nano_usd=1, mode=Mode.PROVISIONED),
                record(4, billed_ms=2, cost_nano_usd=1, mode=Mode.ALWAYS),
                record(5, name="other"),
            ],
            [],
        )
        await store.requests.append([record(6, billed_ms=5)], [])
        found = await store.spending.sums(ACCOUNT, **EVER, function="hello")
    assert list(found) == [
        _spent(line=Line.ON_DEMAND, hour_ms=0, calls=3, failed=1, billed_ms=15, cpu_us=12, cost_nano_usd=125),
        _spent(line=Line.PROVISIONED, hour_ms=0, calls=2, billed_ms=4, cpu_us=8, cost_nano_usd=2),
    ]


async def hours_are_taken_whole_and_dropped_whole(make: MakeStore) -> None:
    async with running(store := make()):
        for hour in range(4):
            await store.spending.add([_spent(hour_ms=NIGHT_MS + hour * HOUR_MS, instance_ms=10**hour)])
        assert await _instance_ms(store, NIGHT_MS + HOUR_MS, NIGHT_MS + 3 * HOUR_MS) == 110
        await store.spending.drop_before(NIGHT_MS + 2 * HOUR_MS)
        assert await _instance_ms(store, 0, 1 << 52) == 1100


async def functions_are_paged_with_all_their_lines(make: MakeStore) -> None:
    names = [f"f{number}" for number in range(7)]
    rows = [_spent(name, line, cost_nano_usd=1) for name in names for line in Line]
    async with running(store := make()):
        await store.spending.add(rows[::-1])
        await store.spending.add([_spent("f3", account_id="6543210987654321")])
        found: list[Spent] = []
        while page := await store.spending.sums(
            ACCOUNT, **EVER, after=found[-1].function_name if found else "", limit=2
        ):
            assert len(page) in (3, 6)
            found += page
    assert [(one.function_name, one.line) for one in found] == [(name, line) for name in names for line in sorted(Line)]


async def adding_at_once_loses_nothing(make: MakeStore) -> None:
    async with running(store := make()):
        await asyncio.gather(*(store.spending.add([_spent(instance_ms=1)] * 3) for _ in range(50)))
        assert await _instance_ms(store, 0, 1 << 52) == 150


async def what_policies_want_goes_with_the_function_and_what_was_spent_stays(make: MakeStore) -> None:
    async with running(store := make()):
        await store.functions.create(function())
        await store.spending.put_tracked(ACCOUNT, "hello", "ProvisionConfig", "LATEST", {"a": 3, "b": 1})
        await store.spending.put_tracked(ACCOUNT, "hello", "ProvisionConfig", "LATEST", {"a": 4})
        await store.spending.put_tracked(ACCOUNT, "absent", "ProvisionConfig", "LATEST", {"a": 9})
        await store.spending.add([_spent(instance_ms=5)])
        assert dict(await store.spending.tracked()) == {
            (ACCOUNT, "hello", "ProvisionConfig", "LATEST"): {"a": 4, "b": 1}
        }
        await store.functions.delete(ACCOUNT, "hello")
        assert not await store.spending.tracked()
        assert await _instance_ms(store, 0, 1 << 52) == 5


async def what_was_spent_outlives_the_process(make: MakeStore) -> None:
    async with running(store := make()):
        await store.functions.create(function())
        await store.spending.put_tracked(ACCOUNT, "hello", "ScalingConfig", "LATEST", {"a": 3})
        await store.requests.append([samples.record(1)], [])
    async with running(store := make()):
        assert (await store.spending.sums(ACCOUNT, **EVER))[0].calls == 1
        assert list((await store.spending.tracked()).values()) == [{"a": 3}]


async def _instance_ms(store: Store, from_ms: int, until_ms: int) -> int:
    found = await store.spending.sums(ACCOUNT, from_ms=from_ms, until_ms=until_ms)
    return sum(one.instance_ms for one in found)


CHECKS: tuple[Check, ...] = (
    what_records_come_to_is_added_up_by_line,
    hours_are_taken_whole_and_dropped_whole,
    functions_are_paged_with_all_their_lines,
    adding_at_once_loses_nothing,
    what_policies_want_goes_with_the_function_and_what_was_spent_stays,
)
DURABLE_CHECKS: tuple[Check, ...] = (what_was_spent_outlives_the_process,)
