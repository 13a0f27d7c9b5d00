"""Roles: what functions may do to their own node. For keys of scope admin."""

from __future__ import annotations

import builtins
from collections.abc import Sequence

from functory.sdk import answers, signer
from functory.sdk.transport import Transport

PATH = "/functory/v1/roles"


class Roles:
    """`client.roles`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> Sequence[answers.Role]:
        """The roles of the account."""
        return self._transport.json(answers.RolePage, "ListRoles", "GET", PATH).roles

    def create(
        self, name: str, scopes: Sequence[str], *, functions: Sequence[str] | None = None, description: str = ""
    ) -> answers.Role:
        """A new role. `scopes`: of admin, deploy, invoke, read; `functions`: the only ones it may touch, None = all."""
        content = {"name": name, **_rights(scopes, functions, description)}
        return self._transport.json(answers.Role, "CreateRole", "POST", PATH, content=content)

    def get(self, name: str) -> answers.Role:
        """One role."""
        return self._transport.json(answers.Role, "GetRole", "GET", _path(name))

    def update(
        self, name: str, scopes: Sequence[str], *, functions: Sequence[str] | None = None, description: str = ""
    ) -> answers.Role:
        """What the role may do from now on, also with credentials that are out already."""
        content = _rights(scopes, functions, description)
        return self._transport.json(answers.Role, "UpdateRole", "PUT", _path(name), content=content)

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
