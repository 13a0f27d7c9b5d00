"""The role: what a function may do to its own node. Credentials of its functions are made from it."""

from __future__ import annotations

import re

import msgspec

from functory.model import errors
from functory.model.account import Principal, Scope

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_ARN = re.compile(r"acs:ram::([0-9]{0,32}):role/([A-Za-z0-9._-]{1,64})", re.ASCII)


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """A set of rights with a name, in one account.

    Rights are looked up at every use, so a change counts at once, also for credentials that are out already.
    """

    account_id: str
    name: str
    role_id: str
    """16 hex digits. A role made anew under an old name has another, so credentials and functions of the old one gain
    nothing from it."""
    scopes: tuple[Scope, ...]
    """What it may do; at least one."""
    functions: tuple[str, ...] | None = None
    """The only functions it may touch; None = all of the account, and what belongs to no function."""
    description: str = ""
    created_at_ms: int
    modified_at_ms: int
    epoch: int = 1
    """Counts changes; the fence of a compare-and-set and the role's ETag."""


def check_name(name: str) -> str:
    """The name; `InvalidArgument` if a role cannot have it."""
    if not NAME.fullmatch(name):
        raise errors.InvalidArgument(
            f"role name {name[:80]!r} is not valid: 1 to 64 letters, digits and the characters '.', '_', '-'"
        )
    return name


def arn(role: Role) -> str:
    """What a function's field `role` says to have it."""
    return f"acs:ram::{role.account_id}:role/{role.name}"


def name_in(text: str, account_id: str) -> str:
    """The name of the account's role that an ARN means; empty if it is another account's, or no ARN of a role.

    Projects are deployed here with the roles they have elsewhere: those mean nothing on this node.
    """
    found = _ARN.fullmatch(text)
    return found[2] if found is not None and found[1] in ("", account_id) else ""


def may_pass(principal: Principal, role: Role) -> bool:
    """Whether the caller may give this role to a function.

    Whoever writes a function's code does what its role may do. So nobody gives away more than they have: else a key
    that deploys would be as good as any role of its account.
    """
    within = principal.functions is None or (
        role.functions is not None and principal.functions.issuperset(role.functions)
    )
    return within and all(principal.may(scope) for scope in role.scopes)
