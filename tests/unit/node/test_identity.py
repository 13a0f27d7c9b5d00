"""The node's own account and keys: made once, found again, replaced when they are gone."""

from __future__ import annotations

from msgspec import structs

from functory.lifecycle import running
from functory.model.account import AccessKey, Scope
from functory.node.identity import Identity
from functory.store.memory import MemoryStore
from functory.testing.clock import JumpingClock


def identity(store: MemoryStore, clock: JumpingClock) -> Identity:
    return Identity(store.keys, clock=clock, accounts=store.accounts)


async def test_a_fresh_node_makes_an_account_and_a_key_and_finds_them_again() -> None:
    clock = JumpingClock()
    async with running(store := MemoryStore()):
        async with running(first := identity(store, clock)):
            assert len(first.owner) == 16
            assert first.owner.isdigit()
            assert (first.admin.account_id, first.admin.scope) == (first.owner, Scope.ADMIN)
            assert first.find(first.admin.access_key_id) == first.admin
        async with running(second := identity(store, clock)):
            assert (second.owner, second.admin) == (first.owner, first.admin)
        assert [one.account_id for one in await store.accounts.all()] == [first.owner]


async def test_the_owner_stays_though_another_account_has_the_older_key() -> None:
    clock = JumpingClock()
    async with running(store := MemoryStore()):
        async with running(node := identity(store, clock)):
            owner = node.owner
        old = AccessKey(access_key_id="old", secret="s", account_id="9" * 16, created_at_ms=0)
        await store.keys.put(old)
        async with running(node := identity(store, clock)):
            assert (node.owner, node.admin.account_id) == (owner, owner)


async def test_an_owner_without_an_active_admin_key_gets_a_new_one_at_the_next_start() -> None:
    clock = JumpingClock()
    async with running(store := MemoryStore()):
        async with running(node := identity(store, clock)):
            lost = node.admin
        await store.keys.put(structs.replace(lost, active=False))
        async with running(node := identity(store, clock)):
            assert node.admin.access_key_id != lost.access_key_id
            assert node.admin.account_id == lost.account_id


async def test_reloading_says_whether_the_local_clients_need_another_key() -> None:
    clock = JumpingClock()
    async with running(store := MemoryStore()), running(node := identity(store, clock)):
        assert not await node.reload()
        clock.jump(1)
        more = AccessKey(access_key_id="more", secret="s", account_id=node.owner, created_at_ms=clock.now_ms())
        await store.keys.put(more)
        assert not await node.reload()
        await store.keys.put(structs.replace(node.admin, active=False))
        assert await node.reload()
        assert node.admin == more
