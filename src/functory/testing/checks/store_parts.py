"""What every store promises of versions, aliases, configurations, layers, accounts and audit events."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec import structs

from functory.lifecycle import running
from functory.model import errors
from functory.model.account import Account, Scope
from functory.model.audit import AuditEvent
from functory.model.layer import LayerVersion
from functory.model.limits import ConcurrencyConfig, ProvisionConfig
from functory.model.role import Role
from functory.model.task import AsyncConfig
from functory.model.version import Alias, Version
from functory.model.vpc import Vpc
from functory.store import parts
from functory.store.base import Store
from functory.testing.checks import samples
from functory.testing.checks.samples import ACCOUNT, Check, MakeStore


def alias(name: str = "prod", **changes: Any) -> Alias:
    """An alias to store."""
    whole: dict[str, Any] = {"version": "1", "created_at_ms": 1, "modified_at_ms": 1, **changes}
    return Alias(account_id=ACCOUNT, function_name="hello", name=name, **whole)


def layer(name: str = "tools", *, account_id: str = ACCOUNT) -> LayerVersion:
    """A layer version to store: number and ARN are the store's to give."""
    return LayerVersion(
        account_id=account_id,
        name=name,
        number=0,
        arn="",
        code_digest="d" * 64,
        code_checksum="1",
        code_size_bytes=1,
        created_at_ms=1,
    )


def event(n: int, *, account_id: str = ACCOUNT, changes: bool = True) -> AuditEvent:
    """An audit event to store."""
    what: dict[str, Any] = {"method": "PUT", "path": "/ü", "operation": "UpdateFunction", "access_key_id": "k"}
    return AuditEvent(request_id=f"r{n}", at_ms=n, account_id=account_id, status=200, changes=changes, **what)


async def _publish(store: Store, description: str) -> Version:
    """Another revision of `hello`, and a version of it."""
    before = await store.functions.get(ACCOUNT, "hello")
    await store.functions.replace(samples.function(epoch=before.epoch + 1, description=description))
    return await store.versions.publish(ACCOUNT, "hello", description="", at_ms=1)


async def versions_are_copies_with_numbers_of_their_own(make: MakeStore) -> None:
    async with running(store := make()):
        await store.functions.create(samples.function())
        made = [await _publish(store, text) for text in ("one", "two", "three")]
        assert [one.number for one in made] == [1, 2, 3]
        assert await store.versions.get(ACCOUNT, "hello", "2") == made[1]
        assert await store.versions.delete(ACCOUNT, "hello", "3") == made[2]
        assert (await _publish(store, "four")).number == 4
        assert [one.number for one in await store.versions.list(ACCOUNT, "hello")] == [4, 2, 1]
        after = await store.versions.list(ACCOUNT, "hello", after="1", backwards=False, limit=1)
        assert [one.number for one in after] == [2]
        for number in ("3", "0", "01", "x", "9" * 20, ""):
            await samples.raises(errors.VersionNotFound, store.versions.get(ACCOUNT, "hello", number))
        await samples.raises(errors.FunctionNotFound, store.versions.list(ACCOUNT, "none"))


async def _again(store: Store) -> Version:
    return await store.versions.publish(ACCOUNT, "hello", description="", at_ms=1)


async def a_function_has_a_bounded_number_of_versions_and_aliases(make: MakeStore) -> None:
    async with running(store := make()):
        await store.functions.create(samples.function())
        before, parts.MOST = parts.MOST, 2
        try:
            for text in ("one", "two"):
                await _publish(store, text)
            await samples.raises(errors.LimitExceeded, _publish(store, "three"))
            await store.versions.delete(ACCOUNT, "hello", "1")
            assert (await _again(store)).number == 3, "a refused one took no number"
            for name in ("a", "b"):
                await store.aliases.create(alias(name, version="3"))
            await samples.raises(errors.LimitExceeded, store.aliases.create(alias("c", version="3")))
        finally:
            parts.MOST = before


async def all_of_it_is_there_after_a_new_start(make: MakeStore) -> None:
    of: dict[str, Any] = {"account_id": ACCOUNT, "function_name": "hello"}
    async with running(store := make()):
        await store.functions.create(samples.function())
        version = await _publish(store, "one")
        await store.aliases.create(alias())
        provision = await store.provisions.put(ProvisionConfig(**of, target=2, official={"defaultTarget": 1}))
        made = await store.layer_versions.add(layer(), "local")
        await store.accounts.put(Account(account_id="1", name="one"))
        await store.audit.append([event(1)])
    async with running(store := make()):
        assert list(await store.versions.all()) == [version]
        assert list(await store.aliases.all()) == [alias()]
        assert list(await store.provisions.all()) == [provision]
        assert await store.layer_versions.get(ACCOUNT, "tools", 1) == made
        assert [one.name for one in await store.accounts.all()] == ["one"]
        assert [one for _, one in await store.audit.list(ACCOUNT)] == [event(1)]
        assert (await _publish(store, "two")).number == 2
        assert (await store.layer_versions.add(layer(), "local")).number == 2


async def of_publishers_of_one_revision_one_wins_and_no_number_is_lost(make: MakeStore) -> None:
    async with running(store := make()):
        await store.functions.create(samples.function())
        answers = await asyncio.gather(*(_again(store) for _ in range(4)), return_exceptions=True)
        assert sorted(type(answer).__name__ for answer in answers) == ["Version", *["VersionPublishError"] * 3]
        await samples.raises(errors.PreconditionFailed, _at_epoch(store, 7))
        assert (await _publish(store, "next")).number == 2


async def _at_epoch(store: Store, epoch: int) -> Version:
    return await store.versions.publish(ACCOUNT, "hello", description="", at_ms=1, epoch=epoch)


async def an_alias_names_versions_that_are_there_and_keeps_them(make: MakeStore) -> None:
    async with running(store := make()):
        await store.functions.create(samples.function())
        await samples.raises(errors.VersionNotFound, store.aliases.create(alias()))
        await _publish(store, "one")
        await store.aliases.create(alias())
        await samples.raises(errors.AliasAlreadyExists, store.aliases.create(alias()))
        await samples.raises(errors.VersionInUse, store.versions.delete(ACCOUNT, "hello", "1"))
        await store.aliases.replace(alias(epoch=2, description="new"))
        await samples.raises(errors.ConcurrentUpdate, store.aliases.replace(alias(epoch=2)))
        await samples.raises(errors.VersionNotFound, store.aliases.replace(alias(epoch=3, extra_version="9")))
        assert (await store.aliases.get(ACCOUNT, "hello", "prod")).description == "new"
        for name in ("b", "a", "B"):
            await store.aliases.create(alias(name))
        assert [one.name for one in await store.aliases.list(ACCOUNT, "hello")] == ["B", "a", "b", "prod"]
        page = await store.aliases.list(ACCOUNT, "hello", after="a", prefix="p", limit=1)
        assert [one.name for one in page] == ["prod"]
        await samples.raises(errors.ConcurrentUpdate, store.aliases.delete(ACCOUNT, "hello", "prod", epoch=99))
        await store.aliases.delete(ACCOUNT, "hello", "prod")
        await samples.raises(errors.AliasNotFound, store.aliases.get(ACCOUNT, "hello", "prod"))


async def a_config_stands_for_one_qualifier(make: MakeStore) -> None:
    of: dict[str, Any] = {"account_id": ACCOUNT, "function_name": "hello"}
    async with running(store := make()):
        await samples.raises(errors.FunctionNotFound, store.async_configs.put(AsyncConfig(**of)))
        await store.functions.create(samples.function())
        await samples.raises(errors.AsyncConfigNotFound, store.async_configs.get(ACCOUNT, "hello"))
        await store.async_configs.put(AsyncConfig(**of, max_retries=1, created_at_ms=5))
        again = await store.async_configs.put(AsyncConfig(**of, max_retries=2, created_at_ms=9))
        assert (again.max_retries, again.created_at_ms) == (2, 5)
        await samples.raises(errors.VersionNotFound, store.async_configs.put(AsyncConfig(**of, qualifier="1")))
        await samples.raises(errors.AliasNotFound, store.async_configs.put(AsyncConfig(**of, qualifier="prod")))
        await _publish(store, "one")
        await store.async_configs.put(AsyncConfig(**of, qualifier="1"))
        listed = [one.qualifier for one in await store.async_configs.list(ACCOUNT)]
        assert listed == ["1", "LATEST"]
        rest = await store.async_configs.list(ACCOUNT, function="hello", after=("hello", "1"))
        assert [one.qualifier for one in rest] == ["LATEST"]
        assert list(await store.provisions.list(ACCOUNT)) == [], "kinds do not see each other"
        await store.versions.delete(ACCOUNT, "hello", "1")
        assert await store.async_configs.find(ACCOUNT, "hello", "1") is None
        await store.async_configs.delete(ACCOUNT, "hello")
        await store.async_configs.delete(ACCOUNT, "hello")
        assert list(await store.async_configs.all()) == []


async def a_config_that_is_refused_inside_the_transaction_is_not_there(make: MakeStore) -> None:
    seen: list[int] = []

    def refuse(others: Any) -> None:
        seen.append(len(others))
        raise errors.LimitExceeded("too much")

    async with running(store := make()):
        for name in ("hello", "other"):
            await store.functions.create(samples.function(name))
        config = ConcurrencyConfig(account_id=ACCOUNT, function_name="other", reserved=1)
        await store.concurrency.put(config)
        mine = ConcurrencyConfig(account_id=ACCOUNT, function_name="hello", reserved=1)
        await samples.raises(errors.LimitExceeded, store.concurrency.put(mine, refuse))
        assert seen == [1]
        assert list(await store.concurrency.all()) == [config]


async def all_that_belongs_to_a_function_goes_with_it(make: MakeStore) -> None:
    async with running(store := make()):
        await store.functions.create(samples.function())
        await _publish(store, "one")
        await store.aliases.create(alias())
        await store.provisions.put(ProvisionConfig(account_id=ACCOUNT, function_name="hello", target=1))
        await store.functions.delete(ACCOUNT, "hello")
        for left in (store.versions, store.aliases, store.provisions):
            assert list(await left.all()) == []
        await store.functions.create(samples.function(function_id="id-2"))
        assert (await _again(store)).number == 1


async def layers_are_numbered_and_their_numbers_not_given_again(make: MakeStore) -> None:
    async with running(store := make()):
        first, second = [await store.layer_versions.add(layer(), "local") for _ in range(2)]
        assert (first.number, second.number) == (1, 2)
        assert second.arn == f"acs:fc:local:{ACCOUNT}:layers/tools/versions/2"
        await store.layer_versions.delete(ACCOUNT, "tools", 2)
        assert (await store.layer_versions.add(layer(), "local")).number == 3
        assert await store.layer_versions.get(ACCOUNT, "tools", 1) == first
        await samples.raises(errors.LayerVersionNotFound, store.layer_versions.get(ACCOUNT, "tools", 2))
        await samples.raises(errors.LayerNotFound, store.layer_versions.get(ACCOUNT, "none", 1))
        await samples.raises(errors.LayerNotFound, store.layer_versions.get("2", "tools", 1))
        await store.layer_versions.add(layer("deps"), "local")
        assert [one.number for one in await store.layer_versions.list(ACCOUNT, "tools")] == [3, 1]
        assert [one.number for one in await store.layer_versions.list(ACCOUNT, "tools", start=2)] == [1]
        newest = await store.layer_versions.names(ACCOUNT)
        assert [(one.name, one.number) for one in newest] == [("deps", 1), ("tools", 3)]
        assert [one.name for one in await store.layer_versions.names(ACCOUNT, after="deps")] == ["tools"]
        assert await store.layer_versions.digests() == {"d" * 64}


async def accounts_and_keys_come_and_go(make: MakeStore) -> None:
    async with running(store := make()):
        await samples.raises(errors.AccountNotFound, store.accounts.get("1"))
        for one in ("2", "1"):
            await store.accounts.put(Account(account_id=one, name=f"ü{one}"))
        assert [one.name for one in await store.accounts.all()] == ["ü1", "ü2"]
        await store.accounts.delete("1")
        assert [one.account_id for one in await store.accounts.all()] == ["2"]
        await store.keys.put(samples.key("k", label="the shop"))
        assert [one.label for one in await store.keys.all()] == ["the shop"]
        for _ in range(2):
            await store.keys.delete("k")
        assert list(await store.keys.all()) == []


async def of_changes_of_a_role_one_wins(make: MakeStore) -> None:
    async with running(store := make()):
        role = Role(account_id="1", name="r", role_id="a", scopes=(Scope.READ,), created_at_ms=0, modified_at_ms=0)
        await samples.raises(errors.RoleNotFound, store.roles.get("1", "r"))
        await store.roles.create(role)
        await store.roles.create(structs.replace(role, account_id="2"))
        await samples.raises(errors.RoleAlreadyExists, store.roles.create(role))
        second = structs.replace(role, scopes=(Scope.ADMIN, Scope.READ), functions=("f",), epoch=2)
        await store.roles.replace(second)
        await samples.raises(errors.ConcurrentUpdate, store.roles.replace(second))
        await samples.raises(
            errors.ConcurrentUpdate, store.roles.replace(structs.replace(second, epoch=3, role_id="b"))
        )
        assert await store.roles.get("1", "r") == second
        assert [(one.account_id, one.name) for one in await store.roles.all()] == [("1", "r"), ("2", "r")]
        await samples.raises(errors.ConcurrentUpdate, store.roles.delete("1", "r", 1))
        assert await store.roles.delete("1", "r", 2) == second
        await samples.raises(errors.RoleNotFound, store.roles.delete("1", "r", 2))
        assert [one.account_id for one in await store.roles.all()] == ["2"]


async def vpcs_are_each_accounts_own_and_stay_while_they_are_bound(make: MakeStore) -> None:
    async with running(store := make()):
        await store.functions.create(samples.function())
        for account_id, vpc_id in ((ACCOUNT, "vpc-b"), (ACCOUNT, "vpc-a"), ("2", "vpc-a")):
            await store.vpcs.put(Vpc(account_id=account_id, vpc_id=vpc_id, created_at_ms=1), replace=False)
        assert [one.vpc_id for one in await store.vpcs.list(ACCOUNT)] == ["vpc-a", "vpc-b"]
        changed = Vpc(account_id=ACCOUNT, vpc_id="vpc-a", names=("a.b",), created_at_ms=5)
        await samples.raises(errors.VpcAlreadyExists, store.vpcs.put(changed, replace=False))
        assert (await store.vpcs.put(changed, replace=True)).created_at_ms == 1
        assert (await store.vpcs.get(ACCOUNT, "vpc-a")).names == ("a.b",)
        await samples.raises(errors.VpcNotFound, store.vpcs.bind(ACCOUNT, "hello", "vpc-none"))
        for _ in range(2):
            await store.vpcs.bind(ACCOUNT, "hello", "vpc-a")
        assert list(await store.vpcs.bound(ACCOUNT, "hello")) == ["vpc-a"]
        await samples.raises(errors.VpcInUse, store.vpcs.delete(ACCOUNT, "vpc-a"))
        await store.vpcs.unbind(ACCOUNT, "hello", "vpc-a")
        await store.vpcs.delete(ACCOUNT, "vpc-a")
        await samples.raises(errors.VpcNotFound, store.vpcs.get(ACCOUNT, "vpc-a"))
        await store.vpcs.bind(ACCOUNT, "hello", "vpc-b")
        await store.functions.delete(ACCOUNT, "hello")
        assert list(await store.vpcs.bindings()) == [], "a binding goes with its function"


async def events_are_listed_newest_first_by_account(make: MakeStore) -> None:
    async with running(store := make()):
        await store.audit.append([event(n, changes=n % 2 == 0) for n in range(4)])
        await store.audit.append([event(9, account_id="2")])
        found = await store.audit.list(ACCOUNT)
        assert [one for _, one in found] == [event(n, changes=n % 2 == 0) for n in (3, 2, 1, 0)]
        older = await store.audit.list(ACCOUNT, before=found[1][0], limit=1)
        assert [one.request_id for _, one in older] == ["r1"]
        only = await store.audit.list(ACCOUNT, changes_only=True)
        assert [one.request_id for _, one in only] == ["r2", "r0"]


async def logs_of_a_name_are_each_accounts_own(make: MakeStore) -> None:
    async with running(store := make()):
        mine, theirs = samples.log(1, 1, b"mine"), samples.log(1, 2, b"theirs", account_id="2")
        await store.requests.append([], [mine, theirs])
        assert list(await store.requests.function_logs(ACCOUNT, "hello")) == [mine]
        assert list(await store.requests.function_logs("2", "hello")) == [theirs]


CHECKS: tuple[Check, ...] = (
    versions_are_copies_with_numbers_of_their_own,
    a_function_has_a_bounded_number_of_versions_and_aliases,
    of_publishers_of_one_revision_one_wins_and_no_number_is_lost,
    an_alias_names_versions_that_are_there_and_keeps_them,
    a_config_stands_for_one_qualifier,
    a_config_that_is_refused_inside_the_transaction_is_not_there,
    all_that_belongs_to_a_function_goes_with_it,
    layers_are_numbered_and_their_numbers_not_given_again,
    accounts_and_keys_come_and_go,
    of_changes_of_a_role_one_wins,
    vpcs_are_each_accounts_own_and_stay_while_they_are_bound,
    events_are_listed_newest_first_by_account,
    logs_of_a_name_are_each_accounts_own,
)
"""What every store promises of these."""

DURABLE_CHECKS: tuple[Check, ...] = (all_of_it_is_there_after_a_new_start,)
"""What every store promises that outlives its process."""
