"""What a principal may do: the two checks that every face makes after the signature."""

from __future__ import annotations

from functory.model import errors
from functory.model.account import Principal, Scope


def require(principal: Principal, scope: Scope) -> None:
    """`AccessDenied` unless the principal's scope includes `scope`."""
    if not principal.may(scope):
        raise errors.AccessDenied(
            f"access key {principal.access_key_id} has scope '{principal.scope}'; this call needs '{scope}'",
            hint="use a key of a wider scope: `functory keys`",
        )


def require_call(principal: Principal, function_name: str) -> None:
    """`AccessDenied` unless the principal may call this function."""
    require(principal, Scope.INVOKE)
    if principal.functions is not None and function_name not in principal.functions:
        raise errors.AccessDenied(f"this token is not for function '{function_name}'")
