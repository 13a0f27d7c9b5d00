"""Roles: what functions may do to their own node. For keys of scope admin."""

from __future__ import annotations

import builtins
from collections.abc import Sequence

import msgspec

from functory.sdk import answers, signer
from functory.sdk.transport import Transport

PATH = "/functory/v1/roles"


class Role(answers.Answer, frozen=True, kw_only=True):
    """What functions with this role may do."""

    name: str
    arn: str
    """What the field `role` of a function says."""
    scopes: list[str]
    functions: list[str] | None = None
    """The only functions it may touch; None = all."""
    description: str = ""
    role_id: str = ""
    created_at_ms: int = 0
    modified_at_ms: int = 0


class RolePage(answers.Answer, frozen=True, kw_only=True):
    """The roles of the account."""

    roles: list[Role] = msgspec.field(default_factory=list)


class Roles:
    """`client.roles`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> Sequence[Role]:
        """The roles of the account."""
        return self._transport.json(RolePage, "ListRoles", "GET", PATH).roles

    def create(
        self, name: str, scopes: Sequence[str], *, functions: Sequence[str] | None = None, description: str = ""
    ) -> Role:
        """A new role. `scopes`: of admin, deploy, invoke, read; `functions`: the only ones it may touch, None = all."""
        content = {"name": name, **_rights(scopes, functions, description)}
        return self._transport.json(Role, "CreateRole", "POST", PATH, content=content)

    def get(self, name: str) -> Role:
        """One role."""
        return self._transport.json(Role, "GetRole", "GET", _path(name))

    def update(
        self, name: str, scopes: Sequence[str], *, functions: Sequence[str] | None = None, description: str = ""
    ) -> Role:
        """What the role may do from now on, also with credentials that are out already."""
        content = _rights(scopes, functions, description)
        return self._transport.json(Role, "UpdateRole", "PUT", _path(name), content=content)

    def delete(self, name: str) -> None:
        """The role is gone, and all credentials made from it are refused."""
        self._transport.call("DeleteRole", "DELETE", _path(name))


def _rights(scopes: Sequence[str], functions: Sequence[str] | None, description: str) -> dict[str, object]:
    return {
        "scopes": builtins.list(scopes),
        "functions": None if functions is None else builtins.list(functions),
        "description": description,
    }


def _path(name: str) -> str:
    return f"{PATH}/{signer.percent_encode(name)}"
