"""What every store promises of triggers and custom domains (`store.base`)."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from functory.lifecycle import running
from functory.model import errors
from functory.model.domain import Certificate, Domain, Route, RouteConfig
from functory.model.trigger import PER_FUNCTION, Trigger, TriggerKind
from functory.testing.checks import samples
from functory.testing.checks.samples import Check, MakeStore


def trigger(name: str = "web", **changes: Any) -> Trigger:
    """A timer to store: of them a function may have many."""
    plain = Trigger(
        account_id=samples.ACCOUNT,
        function_name="hello",
        name=name,
        trigger_id=f"id-{name}",
        kind=TriggerKind.TIMER,
        config='{"cronExpression": "@every 1m"}',
        created_at_ms=1000,
        modified_at_ms=1000,
    )
    return msgspec.structs.replace(plain, **changes)


def domain(name: str = "www.example.com", **changes: Any) -> Domain:
    """A domain to store."""
    plain = Domain(
        account_id=samples.ACCOUNT,
        name=name,
        routes=RouteConfig(routes=[Route(path="/*", function_name="hello")]),
        certificate=Certificate(name="c", chain="-chain-", private_key="-a secret key-"),
        created_at_ms=1,
        modified_at_ms=1,
    )
    return msgspec.structs.replace(plain, **changes)


async def a_trigger_is_stored_changed_and_removed(make: MakeStore) -> None:
    async with running(store := make()):
        await samples.raises(errors.FunctionNotFound, store.triggers.create(trigger()))
        await store.functions.create(samples.function())
        await store.triggers.create(trigger(description="ä"))
        await samples.raises(errors.TriggerAlreadyExists, store.triggers.create(trigger()))
        assert await store.triggers.get(samples.ACCOUNT, "hello", "web") == trigger(description="ä")
        await samples.raises(errors.ConcurrentUpdate, store.triggers.replace(trigger(epoch=3)))
        await samples.raises(errors.ConcurrentUpdate, store.triggers.replace(trigger(epoch=2, trigger_id="other")))
        await store.triggers.replace(trigger(epoch=2))
        await samples.raises(errors.ConcurrentUpdate, store.triggers.replace(trigger(epoch=2)))
        old = store.triggers.delete(samples.ACCOUNT, "hello", "web", epoch=1)
        await samples.raises(errors.ConcurrentUpdate, old)
        assert (await store.triggers.delete(samples.ACCOUNT, "hello", "web", epoch=2)).epoch == 2
        for missing in (
            store.triggers.get(samples.ACCOUNT, "hello", "web"),
            store.triggers.delete(samples.ACCOUNT, "hello", "web"),
            store.triggers.replace(trigger(epoch=3)),
            store.triggers.get(samples.ACCOUNT, "hello", "ä\0"),
        ):
            await samples.raises(errors.TriggerNotFound, missing)


async def triggers_go_with_their_function(make: MakeStore) -> None:
    async with running(store := make()):
        await store.functions.create(samples.function())
        await store.triggers.create(trigger())
        await store.functions.delete(samples.ACCOUNT, "hello")
        await store.functions.create(samples.function(function_id="id-2"))
        assert list(await store.triggers.list(samples.ACCOUNT, "hello")) == []
        assert list(await store.triggers.all()) == []
        await store.triggers.create(trigger())


async def one_http_trigger_stands_for_each_version_or_alias(make: MakeStore) -> None:
    def http(name: str, qualifier: str = "LATEST", **more: Any) -> Trigger:
        return trigger(name, kind=TriggerKind.HTTP, qualifier=qualifier, config="{}", **more)

    async with running(store := make()):
        await store.functions.create(samples.function())
        await store.triggers.create(http("a"))
        await store.triggers.create(http("b", "live"))
        await samples.raises(errors.TriggerAlreadyExists, store.triggers.create(http("c")))
        await samples.raises(errors.TriggerAlreadyExists, store.triggers.replace(http("b", "LATEST", epoch=2)))
        await store.triggers.replace(http("a", epoch=2))  # it is not in its own way


async def a_function_has_so_many_triggers_and_no_more(make: MakeStore) -> None:
    async with running(store := make()):
        await store.functions.create(samples.function())
        wanted = [store.triggers.create(trigger(f"t{number:02}")) for number in range(PER_FUNCTION + 3)]
        answers = await asyncio.gather(*wanted, return_exceptions=True)
        assert sum(isinstance(answer, errors.LimitExceeded) for answer in answers) == 3
        first = await store.triggers.list(samples.ACCOUNT, "hello", limit=30)
        second = await store.triggers.list(samples.ACCOUNT, "hello", after=first[-1].name)
        assert len({one.name for one in (*first, *second)}) == PER_FUNCTION
        assert [one.name for one in await store.triggers.list(samples.ACCOUNT, "hello", prefix="t0", limit=2)] == [
            "t00",
            "t01",
        ]
        await store.triggers.replace(trigger("t00", epoch=2))


async def a_due_time_is_claimed_once(make: MakeStore) -> None:
    async with running(store := make()):
        await store.functions.create(samples.function())
        await store.triggers.create(trigger())
        won = await asyncio.gather(*[store.triggers.claim(trigger(), 2000) for _ in range(5)])
        assert sorted(won) == [False] * 4 + [True]
        assert not await store.triggers.claim(trigger(), 1500)  # older than the last one
        assert [(one.name, fired) for one, fired in await store.triggers.all()] == [("web", 2000)]
        await store.triggers.replace(trigger(epoch=2, modified_at_ms=3000))
        assert not await store.triggers.claim(trigger(), 4000)  # of a rule that counts no more
        assert not await store.triggers.claim(trigger(epoch=2, modified_at_ms=3000), 3000)
        assert await store.triggers.claim(trigger(epoch=2, modified_at_ms=3000), 4000)


async def a_domain_is_stored_changed_and_removed(make: MakeStore) -> None:
    async with running(store := make()):
        await store.domains.create(domain())
        other = domain(account_id="6543210987654321")
        await samples.raises(errors.DomainNameAlreadyExists, store.domains.create(other))
        assert await store.domains.get(samples.ACCOUNT, "www.example.com") == domain()
        await samples.raises(errors.DomainNameNotFound, store.domains.get("6543210987654321", "www.example.com"))
        await samples.raises(errors.ConcurrentUpdate, store.domains.replace(domain(epoch=3)))
        await samples.raises(errors.DomainNameNotFound, store.domains.replace(msgspec.structs.replace(other, epoch=2)))
        await store.domains.replace(domain(epoch=2, certificate=None))
        assert (await store.domains.get(samples.ACCOUNT, "www.example.com")).certificate is None
        old = store.domains.delete(samples.ACCOUNT, "www.example.com", epoch=1)
        await samples.raises(errors.ConcurrentUpdate, old)
        assert (await store.domains.delete(samples.ACCOUNT, "www.example.com", epoch=2)).epoch == 2
        await samples.raises(errors.DomainNameNotFound, store.domains.delete(samples.ACCOUNT, "www.example.com"))
        await samples.raises(errors.InvalidArgument, store.domains.create(domain("WWW.example.com")))


async def lists_of_domains_hold_no_private_key(make: MakeStore) -> None:
    async with running(store := make()):
        for name in ("b.example.com", "a.example.com", "c.example.org"):
            await store.domains.create(domain(name))
        listed = await store.domains.list(samples.ACCOUNT, limit=2)
        assert [one.name for one in listed] == ["a.example.com", "b.example.com"]
        rest = await store.domains.list(samples.ACCOUNT, after="b.example.com")
        assert [one.name for one in rest] == ["c.example.org"]
        assert [one.name for one in await store.domains.list(samples.ACCOUNT, prefix="c")] == ["c.example.org"]
        for one in (*listed, *rest):
            assert one.certificate is not None
            assert one.certificate.private_key == ""
        assert {one.certificate.private_key for one in await store.domains.all() if one.certificate} == {
            "-a secret key-"
        }


CHECKS: tuple[Check, ...] = (
    a_trigger_is_stored_changed_and_removed,
    triggers_go_with_their_function,
    one_http_trigger_stands_for_each_version_or_alias,
    a_function_has_so_many_triggers_and_no_more,
    a_due_time_is_claimed_once,
    a_domain_is_stored_changed_and_removed,
    lists_of_domains_hold_no_private_key,
)
