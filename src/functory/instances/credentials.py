"""How an instance is told its temporary credentials: by its context or headers, and by its environment.

The field `disableInjectCredentials` switches either off (Env, Request, All). A program's environment cannot be changed
while it runs, so custom runtimes get theirs by headers alone, which are always fresh.
"""

from __future__ import annotations

from typing import Protocol

from functory.model.function import Function

_NONE = {"accessKeyId": "", "accessKeySecret": "", "securityToken": ""}


class Credentials(Protocol):
    """What is given: `web.sessions.Credentials`."""

    @property
    def access_key_id(self) -> str: ...
    @property
    def access_key_secret(self) -> str: ...
    @property
    def security_token(self) -> str: ...
    @property
    def expires_at_ms(self) -> int: ...


def told(made: Credentials) -> dict[str, str]:
    """As a CREDENTIALS frame and a spec's context say it."""
    return {
        "accessKeyId": made.access_key_id,
        "accessKeySecret": made.access_key_secret,
        "securityToken": made.security_token,
    }


def facts(function: Function, made: Credentials | None) -> dict[str, str]:
    """The context's part of it."""
    if made is None or _disabled(function) in ("Request", "All"):
        return _NONE
    return told(made)


def variables(function: Function, made: Credentials | None, *, program: bool) -> dict[str, str]:
    """The environment's part of it, under the official names."""
    if made is None or program or _disabled(function) in ("Env", "All"):
        return {}
    return {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": made.access_key_id,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": made.access_key_secret,
        "ALIBABA_CLOUD_SECURITY_TOKEN": made.security_token,
    }


def _disabled(function: Function) -> str:
    return str(function.official.get("disableInjectCredentials", ""))
