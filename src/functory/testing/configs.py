"""Configurations of asynchronous invocations that are kept in memory alone."""

from __future__ import annotations

from collections.abc import Sequence

from functory.model.task import AsyncConfig


class MemoryConfigs:
    """Implements `tasks.configs.StoredConfigs`."""

    def __init__(self) -> None:
        self._configs: dict[tuple[str, str, str], AsyncConfig] = {}

    async def put(self, config: AsyncConfig) -> None:
        """Adds or replaces it."""
        self._configs[config.account_id, config.function_name, config.qualifier] = config

    async def delete(self, account_id: str, function_name: str, qualifier: str) -> None:
        """Removes it; harmless if there is none."""
        self._configs.pop((account_id, function_name, qualifier), None)

    async def all(self) -> Sequence[AsyncConfig]:
        """All of them."""
        return list(self._configs.values())
