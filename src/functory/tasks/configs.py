"""Configurations of asynchronous invocations: in memory for every accept, in the store for the next start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from functory.model import errors, ids
from functory.model.task import DEFAULT_AGE_S, DEFAULT_RETRIES, MAX_AGE_S, MAX_RETRIES, AsyncConfig
from functory.sinks import base as sinks


class StoredConfigs(Protocol):
    """Where configurations lie: `store.async_configs`."""

    async def put(self, config: AsyncConfig) -> None:
        """Adds or replaces the configuration of a function and qualifier."""

    async def delete(self, account_id: str, function_name: str, qualifier: str) -> None:
        """Removes it; harmless if there is none."""

    async def all(self) -> Sequence[AsyncConfig]:
        """All of them."""


class Configs:
    """A Service: the configurations in force."""

    def __init__(self, stored: StoredConfigs) -> None:
        self._stored = stored
        self._configs: dict[tuple[str, str, str], AsyncConfig] = {}

    async def start(self) -> None:
        """Read what is stored."""
        self._configs = {_key(config): config for config in await self._stored.all()}

    async def stop(self) -> None:
        """Nothing to stop."""

    def find(self, account_id: str, function_name: str, qualifier: str) -> AsyncConfig:
        """What an invocation is accepted under: the qualifier's configuration, else the function's, else defaults."""
        if not self._configs:
            return DEFAULT
        found = self._configs.get((account_id, function_name, qualifier))
        return found or self._configs.get((account_id, function_name, ids.LATEST)) or DEFAULT

    def get(self, account_id: str, function_name: str, qualifier: str = ids.LATEST) -> AsyncConfig:
        """The stored configuration; `AsyncConfigNotFound`."""
        config = self._configs.get((account_id, function_name, qualifier))
        if config is None:
            raise errors.AsyncConfigNotFound(
                f"function '{function_name}' has no async invoke config for qualifier '{qualifier}'"
            )
        return config

    def list(
        self, account_id: str, *, function_name: str = "", after: tuple[str, str] = ("", ""), limit: int = 20
    ) -> Sequence[AsyncConfig]:
        """A page in order of function and qualifier, those greater than `after`."""
        found = sorted(
            (config for config in self._configs.values() if config.account_id == account_id),
            key=lambda config: (config.function_name, config.qualifier),
        )
        return [
            config
            for config in found
            if function_name in ("", config.function_name) and (config.function_name, config.qualifier) > after
        ][:limit]

    async def put(self, config: AsyncConfig, *, now_ms: int) -> AsyncConfig:
        """Adds or replaces it, and answers it as stored; `InvalidArgument` for values outside their bounds."""
        check(config)
        old = self._configs.get(_key(config))
        created = old.created_at_ms if old else now_ms
        config = msgspec.structs.replace(config, created_at_ms=created, modified_at_ms=now_ms)
        await self._stored.put(config)
        self._configs[_key(config)] = config
        return config

    async def delete(self, account_id: str, function_name: str, qualifier: str = ids.LATEST) -> None:
        """Removes it; `AsyncConfigNotFound`."""
        config = self.get(account_id, function_name, qualifier)
        await self._stored.delete(account_id, function_name, qualifier)
        self._configs.pop(_key(config), None)

    async def forget(self, account_id: str, function_name: str) -> None:
        """The function is deleted: a new one of its name starts with defaults."""
        for key in [key for key in self._configs if key[:2] == (account_id, function_name)]:
            await self._stored.delete(*key)
            self._configs.pop(key, None)


DEFAULT = AsyncConfig(max_retries=DEFAULT_RETRIES, max_age_s=DEFAULT_AGE_S)


def check(config: AsyncConfig) -> None:
    """Passes if the configuration can be in force."""
    if not 0 <= config.max_retries <= MAX_RETRIES:
        raise errors.InvalidArgument(f"maxAsyncRetryAttempts {config.max_retries} is not between 0 and {MAX_RETRIES}")
    if not 1 <= config.max_age_s <= MAX_AGE_S:
        raise errors.InvalidArgument(f"maxAsyncEventAgeInSeconds {config.max_age_s} is not between 1 and {MAX_AGE_S}")
    for destination in filter(None, (config.on_success, config.on_failure)):
        if sinks.parse(destination).function_name == config.function_name:
            raise errors.InvalidArgument(
                f"function '{config.function_name}' cannot be its own destination: it would call itself for ever"
            )


def _key(config: AsyncConfig) -> tuple[str, str, str]:
    return (config.account_id, config.function_name, config.qualifier)
