"""What functions may reach, as the running node knows it: the VPCs, kept in step with what is stored."""

from __future__ import annotations

from functory.config import Settings
from functory.gateway.callers import Callers
from functory.model import errors
from functory.model.function import Function
from functory.model.instance import NetworkMode
from functory.model.network import Policy
from functory.model.vpc import Vpc
from functory.network import modes
from functory.store.base import Store


class Networks:
    """The VPCs by account and id. A Service."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._open_to_node = settings.internet == "host"
        self._vpcs: dict[tuple[str, str], Vpc] = {}
        self.callers = Callers()
        """Kept in step with the bindings."""

    async def start(self) -> None:
        """Loads what is stored."""
        self._vpcs = {(one.account_id, one.vpc_id): one for one in await self._store.vpcs.all()}
        await self.load_bindings()

    async def stop(self) -> None:
        """Nothing to end."""

    async def changed(self, vpc: Vpc) -> None:
        """A definition is committed."""
        self._vpcs[vpc.account_id, vpc.vpc_id] = vpc
        await self.load_bindings()

    def deleted(self, vpc: Vpc) -> None:
        """It is gone."""
        self._vpcs.pop((vpc.account_id, vpc.vpc_id), None)

    async def load_bindings(self, _account_id: str = "", _name: str = "") -> None:
        """Which functions are bound, all of them: bindings are few and change seldom."""
        found: dict[tuple[str, str], list[Vpc]] = {}
        for one in await self._store.vpcs.bindings():
            vpc = self._vpcs.get((one.account_id, one.vpc_id))
            if vpc is not None:
                found.setdefault((one.account_id, one.function_name), []).append(vpc)
        self.callers.bound = found

    def of(self, function: Function) -> tuple[NetworkMode, Policy | None]:
        """What an instance of the function may reach; `Unavailable` if its VPC is gone: never more than it says."""
        named = modes.vpc_id(function)
        vpc = self._vpcs.get((function.account_id, named)) if named else None
        if named and vpc is None:
            raise errors.Unavailable(f"function '{function.name}' names VPC '{named}', which is not defined any more")
        return modes.of(function, vpc, open_to_node=self._open_to_node)
