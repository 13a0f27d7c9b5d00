"""What the Get, Put, Delete and List operations of all configurations have in common."""

from __future__ import annotations

import abc
from collections.abc import Awaitable, Sequence
from typing import Any, Generic, TypeVar

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from functory.control import call as calls
from functory.control.call import Call
from functory.control.commit import to_the_end
from functory.control.fc import paging, qualifiers
from functory.control.parts import ControlParts
from functory.model import errors, ids
from functory.model.account import Scope
from functory.store.configs import Config, Configs

C = TypeVar("C", bound=Config)
T = TypeVar("T")


class ListQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The official query parameters."""

    function_name: str = ""
    limit: int | None = None
    next_token: str = ""


class ConfigsRoom(abc.ABC, Generic[C]):
    """Four operations on one kind of configuration; a subclass says how it is read and answered."""

    body: type[msgspec.Struct]
    """What a Put carries."""
    listed_as = "configs"
    """The name of the list in the answer."""
    qualified = True
    """Whether each qualifier has its own."""

    def __init__(self, parts: ControlParts, configs: Configs[C]) -> None:
        self._parts = parts
        self._configs = configs

    def routes(self, one: str, every: str) -> list[Route]:
        """`one`: where a function's configuration is; `every`: where all are listed."""
        return [
            calls.route("GET", every, Scope.READ, self.page, query=ListQuery),
            calls.route("GET", one, Scope.READ, self.get),
            calls.route("PUT", one, Scope.DEPLOY, self.put, body=self.body),
            calls.route("DELETE", one, Scope.DEPLOY, self.delete),
        ]

    @abc.abstractmethod
    def read(self, call: Call, name: str, qualifier: str) -> C:
        """The configuration in the body of a Put."""

    @abc.abstractmethod
    def shown(self, config: C, current: object) -> dict[str, Any]:
        """As the API answers it; `current`: what `now` found out."""

    async def look(self, config: C) -> None:
        """Refuses what only a look beyond the store can tell, before anything is written."""

    def unset(self) -> dict[str, Any] | None:
        """The answer where there is none; None = it is refused as not found."""
        return None

    async def now(self, config: C) -> object:
        """What else there is to know when it is shown."""
        return None

    def check(self, config: C, others: Sequence[C]) -> None:
        """Refuses what does not go together with the account's other configurations."""

    async def put(self, call: Call) -> Response:
        name, qualifier = call.function_name(), self._qualifier(call)
        config = self.read(call, name, qualifier)
        await self.look(config)
        stored = await to_the_end(self._commit(call, name, self._put(config)))
        return calls.answer(self.shown(stored, await self.now(stored)))

    async def get(self, call: Call) -> Response:
        name, qualifier = call.function_name(), self._qualifier(call)
        found = await self._configs.find(call.account_id, name, qualifier)
        if found is not None:
            return calls.answer(self.shown(found, await self.now(found)))
        await qualifiers.check(self._parts.store, call.account_id, name, qualifier or ids.LATEST)
        unset = self.unset()
        if unset is not None:
            return calls.answer(unset)
        return calls.answer(self.shown(await self._configs.get(call.account_id, name, qualifier), None))

    async def delete(self, call: Call) -> Response:
        name, qualifier = call.function_name(), self._qualifier(call)
        await to_the_end(self._commit(call, name, self._configs.delete(call.account_id, name, qualifier)))
        return calls.no_content()

    async def page(self, call: Call) -> Response:
        query = calls.typed_query(call.query, ListQuery, strict=False)
        limit = paging.check_limit(query.limit)
        function, slash, qualifier = paging.key_after(query.next_token).partition("/")
        if function and not slash:
            raise errors.InvalidArgument("nextToken is not one that this node gave")
        if query.function_name:
            await self._parts.store.functions.get(call.account_id, query.function_name)
        found = await self._configs.list(
            call.account_id, function=query.function_name, after=(function, qualifier), limit=limit + 1
        )
        answer: dict[str, Any] = {self.listed_as: [self.shown(one, await self.now(one)) for one in found[:limit]]}
        if len(found) > limit:
            last = found[limit - 1]
            answer["nextToken"] = paging.token(f"{last.function_name}/{last.qualifier}")
        return calls.answer(answer)

    def arn(self, config: C) -> str:
        """The ARN of what is configured; LATEST has no qualifier in it."""
        qualifier = "" if config.qualifier == ids.LATEST else config.qualifier
        return ids.function_arn(self._parts.region, config.account_id, config.function_name, qualifier)

    def _qualifier(self, call: Call) -> str:
        return qualifiers.of(call) if self.qualified else ""

    async def _put(self, config: C) -> C:
        return await self._configs.put(config, lambda others: self.check(config, others))

    async def _commit(self, call: Call, name: str, write: Awaitable[T]) -> T:
        done = await write
        await self._parts.changed_around(call.account_id, name)
        return done
