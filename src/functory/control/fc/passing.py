"""A function's role: found when the function is deployed, and given only by those who have its rights themselves.

The role's id is kept with the revision. So a role that is deleted and made anew gives nothing to old revisions, and one
that is made later gives nothing to a function that named it before anybody could say whether it may have it.
"""

from __future__ import annotations

from typing import Any

from functory.control.call import Call
from functory.control.parts import ControlParts
from functory.model import errors, role


async def with_role(parts: ControlParts, call: Call, changes: dict[str, Any]) -> dict[str, Any]:
    """`changes` with the id of the role that they name; `AccessDenied` if the caller may not give it.

    A role that is not one of the account's is kept and answered, as projects name roles that they have elsewhere; the
    function gets no credentials then, and its note says so.
    """
    text = changes["official"].get("role", "")
    if not text:
        return changes | {"role_id": ""}
    name = role.name_in(text, call.account_id)
    try:
        found = await parts.store.roles.get(call.account_id, name) if name else None
    except errors.RoleNotFound:
        found = None
    if found is None:
        why = f"no credentials: role {text[:128]!r} is not one of this account (functory role create, then deploy)"
        return changes | {"role_id": "", "note": "; ".join(filter(None, (changes["note"], why)))}
    if not role.may_pass(call.principal, found):
        raise errors.AccessDenied(
            f"role '{found.name}' may do {', '.join(found.scopes)}: who deploys it with a function needs them too",
            hint="deploy with a key of a wider scope",
        )
    return changes | {"role_id": found.role_id}
