"""Roles in a running node, and the temporary credentials that instances hold.

An instance gets credentials with its start and, long before they end, others by a frame of their own: what runs at any
moment holds some that outlive its own time limit. So a call costs nothing for it.
"""

from __future__ import annotations

from functools import partial

from functory.clock import Clock, Timer
from functory.instances.pools import Pools
from functory.model.function import Function
from functory.model.role import Role
from functory.store.roles import Roles
from functory.web.sessions import Credentials, Sessions

LIFE_S = 3600
"""How long credentials live beyond the function's time limit."""
SPARE_S = 1800
"""They are replaced once they would outlive a run that begins now by less than this."""
LOOK_S = 60.0


class RoleBook:
    """The roles by account and role id, loaded from the store."""

    def __init__(self, store: Roles) -> None:
        self._store = store
        self._roles: dict[tuple[str, str], Role] = {}

    async def reload(self) -> None:
        """Takes over what is stored."""
        self._roles = {(role.account_id, role.role_id): role for role in await self._store.all()}

    def find(self, account_id: str, role_id: str) -> Role | None:
        """The role, or None."""
        return self._roles.get((account_id, role_id))


class FunctionCredentials:
    """Gives functions their credentials and renews them. A Service."""

    def __init__(self, book: RoleBook, sessions: Sessions, pools: Pools, clock: Clock) -> None:
        self._book = book
        self._sessions = sessions
        self._pools = pools
        self._clock = clock
        self._timer: Timer | None = None

    async def start(self) -> None:
        self._look()

    async def stop(self) -> None:
        """Renews nothing any more."""
        if self._timer is not None:
            self._timer.cancel()

    async def roles_changed(self) -> None:
        """Roles are as stored from now on."""
        await self._book.reload()
        self._sessions.roles_changed()

    def _look(self) -> None:
        make = partial(credentials_of, book=self._book, sessions=self._sessions)
        self._pools.renew_credentials(make, self._clock.now_ms() + SPARE_S * 1000)
        self._timer = self._clock.call_later(LOOK_S, self._look)


def credentials_of(function: Function, book: RoleBook, sessions: Sessions) -> Credentials | None:
    """New credentials of the function's role; None if it has none, or the role is gone."""
    if not function.role_id:
        return None
    role = book.find(function.account_id, function.role_id)
    if role is None:
        return None
    return sessions.make(role, function.name, LIFE_S + function.timeout_s)
