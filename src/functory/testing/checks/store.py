"""What every store promises (`store.base`): functions, keys, layers, and its own life."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec

from functory.lifecycle import running
from functory.model import errors
from functory.model.account import Scope
from functory.model.function import LayerRef
from functory.store.base import Store
from functory.testing.checks import samples, store_bindings, store_parts, store_requests, store_spending
from functory.testing.checks.samples import Check, MakeStore


async def a_function_comes_back_as_it_was_stored(make: MakeStore) -> None:
    rich = samples.function(
        description="héllo wörld — 函数 🎈 \x00\n",
        environment={"KEY": "väl\u2028ue"},
        layers=(LayerRef(arn="acs:fc:r:1:layers/x/versions/1", digest="a" * 64, size_bytes=7),),
        official={"deep": {"list": [1, 2.5, None, True, "x"]}, "empty": {}},
        epoch=3,
    )
    async with running(store := make()):
        await store.functions.create(rich)
        assert await store.functions.get(samples.ACCOUNT, "hello") == rich
        assert list(await store.functions.all()) == [rich]


async def a_taken_name_is_refused_and_the_first_stays(make: MakeStore) -> None:
    async with running(store := make()):
        await store.functions.create(samples.function(description="first"))
        error = await samples.raises(
            errors.FunctionAlreadyExists, store.functions.create(samples.function(description="second"))
        )
        assert "'hello'" in str(error)
        assert (await store.functions.get(samples.ACCOUNT, "hello")).description == "first"


async def the_same_name_in_another_account_is_another_function(make: MakeStore) -> None:
    async with running(store := make()):
        await store.functions.create(samples.function(description="mine"))
        await store.functions.create(samples.function(account_id="2", description="theirs"))
        assert (await store.functions.get("2", "hello")).description == "theirs"
        assert [each.description for each in await store.functions.list(samples.ACCOUNT)] == ["mine"]
        await store.functions.delete("2", "hello")
        assert (await store.functions.get(samples.ACCOUNT, "hello")).description == "mine"


async def of_two_changes_of_one_revision_one_is_refused(make: MakeStore) -> None:
    async with running(store := make()):
        await store.functions.create(samples.function())
        changes = [samples.function(epoch=2, description=text) for text in ("one", "two")]
        answers = await asyncio.gather(*map(store.functions.replace, changes), return_exceptions=True)
        assert [type(answer) for answer in answers] == [type(None), errors.ConcurrentUpdate]
        assert await store.functions.get(samples.ACCOUNT, "hello") == changes[0]


async def a_change_needs_the_revision_before_and_the_same_function(make: MakeStore) -> None:
    async with running(store := make()):
        await samples.raises(errors.FunctionNotFound, store.functions.replace(samples.function(epoch=2)))
        await store.functions.create(samples.function())
        for stale in (
            samples.function(epoch=1),
            samples.function(epoch=3),
            samples.function(epoch=2, function_id="id-2"),
        ):
            await samples.raises(errors.ConcurrentUpdate, store.functions.replace(stale))
        assert await store.functions.get(samples.ACCOUNT, "hello") == samples.function()


async def a_deleted_function_is_answered_and_gone(make: MakeStore) -> None:
    async with running(store := make()):
        await store.functions.create(samples.function(description="it"))
        await samples.raises(errors.ConcurrentUpdate, store.functions.delete(samples.ACCOUNT, "hello", epoch=99))
        assert (await store.functions.delete(samples.ACCOUNT, "hello")).description == "it"
        await samples.raises(errors.FunctionNotFound, store.functions.delete(samples.ACCOUNT, "hello"))
        await samples.raises(errors.FunctionNotFound, store.functions.get(samples.ACCOUNT, "hello"))
        await store.functions.create(samples.function(function_id="id-2"))
        await samples.raises(errors.ConcurrentUpdate, store.functions.replace(samples.function(epoch=2)))


async def a_failing_write_does_not_disturb_those_beside_it(make: MakeStore) -> None:
    async with running(store := make()):
        await store.functions.create(samples.function("taken"))
        names = [f"f{number}" for number in range(20)]
        names[5] = names[12] = "taken"
        writes = [store.functions.create(samples.function(name)) for name in names]
        answers = await asyncio.gather(*writes, store.keys.put(samples.key("k")), return_exceptions=True)
        failed = [number for number, answer in enumerate(answers) if answer is not None]
        assert failed == [5, 12]
        assert {each.name for each in await store.functions.list(samples.ACCOUNT)} == set(names)
        assert len(await store.keys.all()) == 1


async def a_read_sees_every_write_that_returned(make: MakeStore) -> None:
    async with running(store := make()):

        async def one(number: int) -> None:
            name = f"f{number}"
            await store.functions.create(samples.function(name))
            assert (await store.functions.get(samples.ACCOUNT, name)).epoch == 1
            await store.functions.replace(samples.function(name, epoch=2))
            assert (await store.functions.get(samples.ACCOUNT, name)).epoch == 2

        await asyncio.gather(*map(one, range(30)))


async def pages_are_in_order_of_name_and_stable_under_inserts(make: MakeStore) -> None:
    async with running(store := make()):
        for name in ("b", "d", "f", "h", "Z", "_x"):
            await store.functions.create(samples.function(name))
        first = [each.name for each in await store.functions.list(samples.ACCOUNT, limit=3)]
        assert first == ["Z", "_x", "b"]
        for name in ("A", "a", "e"):  # two before the place, one after
            await store.functions.create(samples.function(name))
        await store.functions.delete(samples.ACCOUNT, "b")  # also the place itself may go
        second = [each.name for each in await store.functions.list(samples.ACCOUNT, after="b", limit=3)]
        assert second == ["d", "e", "f"]
        assert [each.name for each in await store.functions.list(samples.ACCOUNT, after="f")] == ["h"]
        assert list(await store.functions.list(samples.ACCOUNT, after="h")) == []


async def a_prefix_means_only_itself(make: MakeStore) -> None:
    names = ["a_b", "aXb", "a-b", "a_", "A_b", "ab"]
    async with running(store := make()):
        for name in names:
            await store.functions.create(samples.function(name))
        for prefix in ("a_", "a", "A", "a_b", "a-", "", "%", "a%", "*", "[a]", "a\x00", "ä", "\ud800", "a" * 65):
            found = [each.name for each in await store.functions.list(samples.ACCOUNT, prefix=prefix)]
            assert found == sorted(name for name in names if name.startswith(prefix)), prefix
        page = await store.functions.list(samples.ACCOUNT, prefix="a", after="a-b", limit=2)
        assert [each.name for each in page] == ["aXb", "a_"]


async def what_cannot_be_stored_or_asked_is_refused(make: MakeStore) -> None:
    async with running(store := make()):
        for bad in (
            samples.function("1x"),
            samples.function("a b"),
            samples.function("x" * 65),
            samples.function(epoch=0),
            samples.function(epoch=2**63),
            samples.function(account_id=""),
            samples.function(function_id="\ud800"),
            samples.function(description="\ud800"),
            samples.function(official={"x": object()}),
        ):
            await samples.raises(errors.InvalidArgument, store.functions.create(bad))
        for limit in (0, -1, 10_001):
            await samples.raises(errors.InvalidArgument, store.functions.list(samples.ACCOUNT, limit=limit))
            await samples.raises(errors.InvalidArgument, store.requests.list(samples.ACCOUNT, limit=limit))
        await samples.raises(errors.InvalidArgument, store.functions.list("\udfff"))
        await samples.raises(errors.FunctionNotFound, store.functions.get(samples.ACCOUNT, "no such; name"))
        assert list(await store.functions.all()) == []


async def keys_come_back_whole_and_can_be_replaced(make: MakeStore) -> None:
    async with running(store := make()):
        first = samples.key("LTAI1", scope=Scope.READ, created_at_ms=12)
        await store.keys.put(first)
        await store.keys.put(samples.key("LTAI2", secret="sécret ✓", active=False))
        changed = msgspec.structs.replace(first, secret="other", scope=Scope.DEPLOY, active=False)
        await store.keys.put(changed)
        assert list(await store.keys.all()) == [changed, samples.key("LTAI2", secret="sécret ✓", active=False)]
        await samples.raises(errors.InvalidArgument, store.keys.put(samples.key("")))
        await samples.raises(errors.InvalidArgument, store.keys.put(samples.key("x", secret="\ud800")))


async def a_secret_is_made_once(make: MakeStore) -> None:
    async with running(store := make()):
        asked = [store.keys.secret("token", bytes([number]) * 32) for number in range(8)]
        answers = await asyncio.gather(*asked)
        assert set(answers) == {answers[0]}
        assert await store.keys.secret("token", b"late") == answers[0]
        assert await store.keys.secret("other", b"\x00\xff") == b"\x00\xff"


async def layers_are_found_by_what_they_were_built_from_and_by_name(make: MakeStore) -> None:
    layer = LayerRef(arn="acs:fc:r:1:layers/deps/versions/1", digest="b" * 64, size_bytes=9)
    async with running(store := make()):
        assert await store.layers.get("k") is None
        assert await store.layers.by_arn(layer.arn) is None
        await store.layers.put("k", layer)
        await store.layers.put("k", layer)
        assert await store.layers.get("k") == layer
        assert await store.layers.by_arn(layer.arn) == layer
        await samples.raises(errors.InvalidArgument, store.layers.put("", layer))


async def it_refuses_before_the_start_and_after_the_stop(make: MakeStore) -> None:
    store = make()
    await store.stop()  # harmless
    await _refuses(store)
    await store.start()
    await store.functions.create(samples.function())
    await store.stop()
    await store.stop()
    await _refuses(store)


async def what_was_handed_in_before_the_stop_is_answered(make: MakeStore) -> None:
    store = make()
    await store.start()
    writes = [asyncio.ensure_future(store.functions.create(samples.function(f"f{number}"))) for number in range(600)]
    await asyncio.sleep(0)
    await store.stop()
    answers = await asyncio.gather(*writes, return_exceptions=True)
    assert [answer for answer in answers if answer is not None] == []


async def a_caller_who_goes_away_disturbs_nobody(make: MakeStore) -> None:
    async with running(store := make()):
        gone = asyncio.ensure_future(store.functions.create(samples.function("gone")))
        kept = asyncio.ensure_future(store.functions.create(samples.function("kept")))
        await asyncio.sleep(0)
        gone.cancel()
        await kept
        with suppress(asyncio.CancelledError):
            await gone
        assert (await store.functions.get(samples.ACCOUNT, "kept")).name == "kept"


async def _refuses(store: Store) -> None:
    for call in (
        store.functions.create(samples.function("f")),
        store.functions.replace(samples.function(epoch=2)),
        store.functions.delete(samples.ACCOUNT, "hello"),
        store.functions.get(samples.ACCOUNT, "hello"),
        store.functions.list(samples.ACCOUNT),
        store.functions.list(samples.ACCOUNT, prefix="%"),
        store.functions.all(),
        store.keys.put(samples.key("k")),
        store.keys.all(),
        store.keys.delete("k"),
        store.versions.all(),
        store.aliases.get(samples.ACCOUNT, "hello", "prod"),
        store.async_configs.all(),
        store.layer_versions.names(samples.ACCOUNT),
        store.accounts.all(),
        store.audit.append([]),
        store.audit.list(samples.ACCOUNT),
        store.keys.secret("s", b"x"),
        store.layers.put("k", LayerRef(arn="a", digest="d")),
        store.layers.get("k"),
        store.layers.by_arn("a"),
        store.requests.append([samples.record(1)], []),
        store.requests.list(samples.ACCOUNT),
        store.requests.get(samples.ACCOUNT, samples.request_id(1)),
        store.requests.logs(samples.request_id(1)),
        store.requests.function_logs(samples.ACCOUNT, "hello"),
        store.requests.drop_before("20260101"),
    ):
        await samples.raises(errors.Unavailable, call)


async def everything_is_there_after_a_new_start(make: MakeStore) -> None:
    layer = LayerRef(arn="arn", digest="c" * 64, size_bytes=1)
    async with running(store := make()):
        await store.functions.create(samples.function())
        await store.functions.replace(samples.function(epoch=2, description="second"))
        await store.keys.put(samples.key("k"))
        secret = await store.keys.secret("token", b"x" * 32)
        await store.layers.put("k", layer)
        await store.requests.append([samples.record(1), samples.record(-1)], [samples.log(1)])
    async with running(store := make()):
        assert (await store.functions.get(samples.ACCOUNT, "hello")).description == "second"
        assert list(await store.keys.all()) == [samples.key("k")]
        assert await store.keys.secret("token", b"new") == secret
        assert await store.layers.get("k") == layer
        assert list(await store.requests.list(samples.ACCOUNT)) == [samples.record(1), samples.record(-1)]
        assert list(await store.requests.logs(samples.request_id(1))) == [samples.log(1)]


CHECKS: tuple[Check, ...] = (
    a_function_comes_back_as_it_was_stored,
    a_taken_name_is_refused_and_the_first_stays,
    the_same_name_in_another_account_is_another_function,
    of_two_changes_of_one_revision_one_is_refused,
    a_change_needs_the_revision_before_and_the_same_function,
    a_deleted_function_is_answered_and_gone,
    a_failing_write_does_not_disturb_those_beside_it,
    a_read_sees_every_write_that_returned,
    pages_are_in_order_of_name_and_stable_under_inserts,
    a_prefix_means_only_itself,
    what_cannot_be_stored_or_asked_is_refused,
    keys_come_back_whole_and_can_be_replaced,
    a_secret_is_made_once,
    layers_are_found_by_what_they_were_built_from_and_by_name,
    it_refuses_before_the_start_and_after_the_stop,
    what_was_handed_in_before_the_stop_is_answered,
    a_caller_who_goes_away_disturbs_nobody,
    *store_requests.CHECKS,
    *store_bindings.CHECKS,
    *store_parts.CHECKS,
    *store_spending.CHECKS,
)
"""What every store promises."""

DURABLE_CHECKS: tuple[Check, ...] = (
    everything_is_there_after_a_new_start,
    *store_parts.DURABLE_CHECKS,
    *store_spending.DURABLE_CHECKS,
)
"""What stores that outlive their process promise too."""
