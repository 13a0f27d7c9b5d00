"""Who may call: accounts and their access keys."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import msgspec


class Scope(StrEnum):
    """What a key may do; each scope includes those below it."""

    ADMIN = "admin"  #: everything
    DEPLOY = "deploy"  #: change functions, and call them
    INVOKE = "invoke"  #: call functions
    READ = "read"  #: look


_INCLUDED: dict[Scope, frozenset[Scope]] = {
    Scope.ADMIN: frozenset(Scope),
    Scope.DEPLOY: frozenset({Scope.DEPLOY, Scope.INVOKE, Scope.READ}),
    Scope.INVOKE: frozenset({Scope.INVOKE}),
    Scope.READ: frozenset({Scope.READ}),
}


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A customer of the node: functions, keys, layers and limits of one account are invisible to all others."""

    account_id: str
    """16 digits, as the official ones have."""
    name: str = ""
    created_at_ms: int = 0


class AccessKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key pair. The secret is stored encrypted; it is here in the clear because signatures need it."""

    access_key_id: str
    secret: str
    account_id: str
    scope: Scope = Scope.ADMIN
    active: bool = True
    created_at_ms: int = 0
    label: str = ""
    """What its owner calls it."""

    def __repr__(self) -> str:
        return f"AccessKey({self.access_key_id}, account {self.account_id}, scope {self.scope})"


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asking, once a signature or token has been checked."""

    account_id: str
    access_key_id: str
    scope: Scope
    functions: frozenset[str] | None = None
    """The only functions it may call; None = all of the account."""
    expires_at_ms: int = 0
    """When the token ends; 0 = with the key."""
    more: tuple[Scope, ...] = ()
    """Scopes beside `scope`, which a role may have."""
    role: str = ""
    """The role whose temporary credentials these are; empty for keys and their tokens."""

    def may(self, scope: Scope) -> bool:
        """Whether one of its scopes includes `scope`."""
        return scope in _INCLUDED[self.scope] or (bool(self.more) and any(scope in _INCLUDED[one] for one in self.more))


def new_key(
    random: Callable[[int], bytes], account_id: str, scope: Scope, *, now_ms: int, label: str = ""
) -> AccessKey:
    """A key pair that was never there; `random` gives so many random bytes."""
    return AccessKey(
        access_key_id="FK" + random(11).hex(),
        secret=random(24).hex(),
        account_id=account_id,
        scope=scope,
        created_at_ms=now_ms,
        label=label,
    )


def new_account_id(random: Callable[[int], bytes]) -> str:
    """16 digits, the first not 0, as the official ones are: SDKs and ARNs show it."""
    return str(10**15 + int.from_bytes(random(16), "big") % (9 * 10**15))
