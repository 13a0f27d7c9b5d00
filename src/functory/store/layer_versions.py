"""Layer versions: uploaded archives that functions see as folders."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from functory.model import errors, layer
from functory.model.layer import LayerVersion
from functory.store import parts, rules
from functory.store.parts import LAYER, LAYER_COUNTER, Rows, Runs

_read = parts.decoder(LayerVersion)


class LayerVersions:
    """`store.base.LayerVersions` over any back end's rows."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def add(self, made: LayerVersion, region: str) -> LayerVersion:
        """Stores it under the next number of its name, with the ARN that follows; answers what is stored."""
        rules.check_text("accountId", made.account_id)
        layer.check_layer_name(made.name)

        def work(rows: Rows) -> LayerVersion:
            counter = rows.get(LAYER_COUNTER, made.account_id, made.name, "")
            number = int(counter or 0) + 1
            rows.put(LAYER_COUNTER, made.account_id, made.name, "", str(number).encode())
            arn = layer.layer_arn(region, made.account_id, made.name, number)
            stored = structs.replace(made, number=number, arn=arn)
            rows.put(LAYER, made.account_id, made.name, _key(number), parts.encode(stored))
            return stored

        return await self._runs.change(work)

    async def get(self, account_id: str, name: str, number: int) -> LayerVersion:
        """`LayerNotFound` if there is no layer of this name, `LayerVersionNotFound` if it has not this number."""
        rules.check_text("accountId", account_id)
        return await self._runs.look(lambda rows: _get(rows, account_id, name, number))

    async def delete(self, account_id: str, name: str, number: int) -> None:
        """Removes it. Functions that use it keep it."""
        rules.check_text("accountId", account_id)

        def work(rows: Rows) -> None:
            _get(rows, account_id, name, number)
            rows.delete(LAYER, account_id, name, _key(number))

        await self._runs.change(work)

    async def list(self, account_id: str, name: str, *, start: int = 0, limit: int = 100) -> Sequence[LayerVersion]:
        """The versions of one layer from number `start` on (0 = the newest) downwards; empty if there is none."""
        rules.check_text("accountId", account_id)
        rules.check_limit(limit)
        after = (name, _key(start + 1)) if start else ("", "")

        def work(rows: Rows) -> list[LayerVersion]:
            return [_read(body) for body in rows.page(LAYER, account_id, name, after, limit, backwards=True)]

        return await self._runs.look(work)

    async def names(
        self, account_id: str, *, prefix: str = "", after: str = "", limit: int = 100
    ) -> Sequence[LayerVersion]:
        """The newest version of each layer, in order of name."""
        rules.check_text("accountId", account_id)
        rules.check_limit(limit)

        def work(rows: Rows) -> list[LayerVersion]:
            newest: dict[str, LayerVersion] = {}
            start = (after, "~")
            while True:
                batch = [_read(body) for body in rows.page(LAYER, account_id, "", start, rules.MAX_LIMIT)]
                for one in batch:
                    if one.name.startswith(prefix):
                        newest[one.name] = one
                if len(batch) < rules.MAX_LIMIT or len(newest) > limit:
                    return list(newest.values())[:limit]
                start = (batch[-1].name, _key(batch[-1].number))

        return await self._runs.look(work)

    async def digests(self) -> set[str]:
        """The archives that layers name: they must not be swept."""
        return await self._runs.look(lambda rows: {_read(body).code_digest for body in rows.every(LAYER)})


def _get(rows: Rows, account_id: str, name: str, number: int) -> LayerVersion:
    if not layer.LAYER_NAME.fullmatch(name) or rows.get(LAYER_COUNTER, account_id, name, "") is None:
        raise errors.LayerNotFound(f"layer '{name[:80]}' does not exist")
    body = rows.get(LAYER, account_id, name, _key(number)) if 0 < number < 10**9 else None
    if body is None:
        raise errors.LayerVersionNotFound(f"layer '{name}' has no version {number}")
    return _read(body)


def _key(number: int) -> str:
    return f"{number:09d}"
