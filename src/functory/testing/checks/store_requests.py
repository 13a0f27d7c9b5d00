"""What every store promises of records and logs (`store.base.Requests`)."""

from __future__ import annotations

from typing import Any

from functory.lifecycle import running
from functory.model import errors
from functory.model.invocation import Status
from functory.model.record import LogLines, Record
from functory.store.base import Store
from functory.testing.checks import samples
from functory.testing.checks.samples import ACCOUNT, Check, MakeStore, log, record, request_id


async def records_come_newest_first_and_page_exactly(make: MakeStore) -> None:
    everything = [record(number // 7, number) for number in range(100)]
    async with running(store := make()):
        for start in range(0, 100, 9):
            await store.requests.append(everything[start : start + 9], [])
        assert await _pages(store, 10) == everything[::-1]
        assert await _pages(store, 33) == everything[::-1]


async def chunks_that_overlap_are_merged_in_order_over_midnight(make: MakeStore) -> None:
    # Each batch holds short calls of its own second, and long ones that began minutes before, also yesterday.
    batches = [
        [
            record(second, 1),
            record(second - 100, 2),
            record(second - 59, 3, name="other"),
            record(second - 3600, 4),
        ]
        for second in range(-150, 150, 7)
    ]
    everything = sorted([each for batch in batches for each in batch], key=_when, reverse=True)
    async with running(store := make()):
        for batch in batches:
            await store.requests.append(batch, [])
        assert await _pages(store, 10) == everything
        assert await _pages(store, 7, function="other") == [
            each for each in everything if each.function_name == "other"
        ]


async def requests_of_two_nodes_in_one_second_page_exactly(make: MakeStore) -> None:
    everything = [record(5, number, node=node) for number in range(6) for node in (1, 2, 0xFFFFFFFF)]
    async with running(store := make()):
        await store.requests.append(everything, [])
        assert await _pages(store, 4) == everything[::-1]


async def a_batch_larger_than_a_chunk_is_whole(make: MakeStore) -> None:
    everything = [record(number // 500, number) for number in range(2500)]
    async with running(store := make()):
        await store.requests.append(everything, [])
        assert await _pages(store, 999) == everything[::-1]


async def only_failures_are_listed_if_asked(make: MakeStore) -> None:
    everything = [record(number, number, status=Status(number % 9)) for number in range(30)]
    kept = [each for each in everything[::-1] if each.status not in (Status.OK, Status.CANCELLED)]
    async with running(store := make()):
        await store.requests.append(everything[:15], [])
        await store.requests.append([record(14, 99)], [])
        await store.requests.append(everything[15:], [])
        assert await _pages(store, 4, failed_only=True) == kept
        assert await _pages(store, 5, failed_only=True, function="hello") == kept
        assert await _pages(store, 5, failed_only=True, function="nothing") == []


async def a_request_is_found_by_its_id_in_its_account_only(make: MakeStore) -> None:
    async with running(store := make()):
        await store.requests.append([record(1, 5), record(70, 6), record(1, 7, name="other")], [])
        assert await store.requests.get(ACCOUNT, request_id(1, 7)) == record(1, 7, name="other")
        assert await store.requests.get(ACCOUNT, request_id(70, 6)) == record(70, 6)
        await samples.raises(errors.RequestNotFound, store.requests.get("2", request_id(1, 5)))
        await samples.raises(errors.RequestNotFound, store.requests.get(ACCOUNT, request_id(1, 6)))
        await samples.raises(errors.RequestNotFound, store.requests.get(ACCOUNT, request_id(10**8, 6)))


async def what_is_no_request_id_is_not_found(make: MakeStore) -> None:
    async with running(store := make()):
        await store.requests.append([record(1, 5)], [])
        good = request_id(1, 5)
        for bad in (
            "x",
            good.upper(),
            good[:-1],
            good + "0",
            good.replace("-", "0"),
            f" {good[1:]}",
            "\ud800",
            "1" * 32,
        ):
            await samples.raises(errors.RequestNotFound, store.requests.get(ACCOUNT, bad))
            await samples.raises(errors.RequestNotFound, store.requests.list(ACCOUNT, before=bad))
            await samples.raises(errors.RequestNotFound, store.requests.logs(bad))
            await samples.raises(
                errors.RequestNotFound, store.requests.function_logs(samples.ACCOUNT, "hello", after=bad)
            )


async def a_batch_with_a_bad_request_id_is_refused_whole(make: MakeStore) -> None:
    good = request_id(1, 1)
    async with running(store := make()):
        for bad in ("", good + "0", good[:-1], good.replace("a", "A").replace("6", "G"), f"1 {good[2:]}", "é" * 32):
            batch = [record(1, 2), record(1, 3, request_id=bad), record(1, 4)]
            await samples.raises(errors.InvalidArgument, store.requests.append(batch, []))
            logs = [LogLines(request_id=bad, function_name="hello", at_ms=0, text=b"x")]
            await samples.raises(errors.InvalidArgument, store.requests.append([record(1, 2)], logs))
        shifted = [record(1, 2, request_id=good + "1"), record(1, 3, request_id=good[1:])]
        await samples.raises(errors.InvalidArgument, store.requests.append(shifted, []))
        assert list(await store.requests.list(ACCOUNT)) == []


async def logs_of_a_request_come_oldest_first(make: MakeStore) -> None:
    async with running(store := make()):
        await store.requests.append([], [log(1, 1, b"late", at_ms=9), log(1, 2, b"other")])
        await store.requests.append([], [log(1, 1, b"early \xff\x00", at_ms=3)])
        assert [each.text for each in await store.requests.logs(request_id(1, 1))] == [
            b"early \xff\x00",
            b"late",
        ]
        assert list(await store.requests.logs(request_id(1, 3))) == []
        assert list(await store.requests.logs(request_id(10**8))) == []


async def logs_of_a_function_are_the_newest_between_two_requests(make: MakeStore) -> None:
    seconds = list(range(-130, 130, 13))
    async with running(store := make()):
        for start in (0, 7, 14):
            batch = [log(second, 1, b"%d" % second) for second in seconds[start : start + 7]]
            await store.requests.append([], [*batch[::-1], log(seconds[start], 2, name="other")])

        async def texts(**options: Any) -> list[int]:
            return [int(each.text) for each in await store.requests.function_logs(samples.ACCOUNT, "hello", **options)]

        assert await texts() == seconds
        assert await texts(limit=3) == seconds[-3:]
        between = {"after": request_id(seconds[2], 1), "before": request_id(seconds[9], 1)}
        assert await texts(**between) == seconds[3:9]
        assert await texts(**between, limit=2) == seconds[7:9]
        assert list(await store.requests.function_logs(samples.ACCOUNT, "nothing")) == []


async def whole_days_are_dropped(make: MakeStore) -> None:
    day = 86_400
    async with running(store := make()):
        await store.requests.append([record(-1), record(0), record(day)], [log(-1), log(-day - 1)])
        await samples.raises(errors.InvalidArgument, store.requests.drop_before("2026-1-1"))
        await samples.raises(errors.InvalidArgument, store.requests.drop_before("20260230"))
        assert await store.requests.drop_before("20260101") == 2
        assert list(await store.requests.list(ACCOUNT)) == [record(day), record(0)]
        assert list(await store.requests.logs(request_id(-1))) == []
        await samples.raises(errors.RequestNotFound, store.requests.get(ACCOUNT, request_id(-1)))
        assert await store.requests.drop_before("20260101") == 0
        await store.requests.append([record(-1)], [])
        assert await store.requests.get(ACCOUNT, request_id(-1)) == record(-1)


async def _pages(store: Store, limit: int, **options: Any) -> list[Record]:
    """Everything, page by page."""
    everything: list[Record] = []
    before = ""
    while page := await store.requests.list(ACCOUNT, before=before, limit=limit, **options):
        everything += page
        before = page[-1].request_id
    return everything


def _when(each: Record) -> tuple[str, str]:
    return each.request_id[2:10], each.request_id[20:]


CHECKS: tuple[Check, ...] = (
    records_come_newest_first_and_page_exactly,
    chunks_that_overlap_are_merged_in_order_over_midnight,
    requests_of_two_nodes_in_one_second_page_exactly,
    a_batch_larger_than_a_chunk_is_whole,
    only_failures_are_listed_if_asked,
    a_request_is_found_by_its_id_in_its_account_only,
    what_is_no_request_id_is_not_found,
    a_batch_with_a_bad_request_id_is_refused_whole,
    logs_of_a_request_come_oldest_first,
    logs_of_a_function_are_the_newest_between_two_requests,
    whole_days_are_dropped,
)
"""What every store promises."""
