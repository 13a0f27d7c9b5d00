"""What a principal may do: the two checks that every face makes after the signature."""

from __future__ import annotations

from functory.model import errors
from functory.model.account import Principal, Scope


def require(principal: Principal, scope: Scope) -> None:
    """`AccessDenied` unless the principal's scope includes `scope`."""
    if not principal.may(scope):
        if principal.role:
            held = ", ".join((principal.scope, *principal.more))
            raise errors.AccessDenied(f"role '{principal.role}' may do {held}; this call needs '{scope}'")
        raise errors.AccessDenied(
            f"access key {principal.access_key_id} has scope '{principal.scope}'; this call needs '{scope}'",
            hint="use a key of a wider scope: `functory keys`",
        )


def require_call(principal: Principal, function_name: str) -> None:
    """`AccessDenied` unless the principal may call this function."""
    require(principal, Scope.INVOKE)
    require_function(principal, function_name)


def require_function(principal: Principal, function_name: str) -> None:
    """`AccessDenied` unless the principal may touch this function; an empty name = what belongs to no function."""
    if principal.functions is None or function_name in principal.functions:
        return
    if principal.role:
        of = f"function '{function_name}'" if function_name else "what belongs to no function"
        raise errors.AccessDenied(f"role '{principal.role}' is not for {of}")
    raise errors.AccessDenied(f"this token is not for function '{function_name}'")
