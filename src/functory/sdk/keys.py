"""Access keys, and the trail of what was done with them. For keys of scope admin."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from functory.sdk import answers, signer
from functory.sdk.transport import Transport

PREFIX = "/functory/v1"


class Key(answers.Answer, frozen=True, kw_only=True):
    """An access key."""

    access_key_id: str
    account_id: str
    scope: str
    active: bool
    label: str = ""
    created_at_ms: int = 0
    access_key_secret: str = ""
    """Told once, when the key is made; empty in lists."""


class KeyPage(answers.Answer, frozen=True, kw_only=True):
    """The keys of an account."""

    keys: list[Key] = msgspec.field(default_factory=list)


class AuditEvent(answers.Answer, frozen=True, kw_only=True):
    """One management call: who, what, when, and what came of it."""

    request_id: str
    at_ms: int
    access_key_id: str = ""
    method: str = ""
    path: str = ""
    operation: str = ""
    status: int = 0
    code: str = ""


class AuditPage(answers.Answer, frozen=True, kw_only=True):
    """A page of events, newest first."""

    events: list[AuditEvent] = msgspec.field(default_factory=list)
    next_before: int = 0
    """To be given as `before` for the next page; 0 = there is none."""


class Keys:
    """`client.keys`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, account_id: str = "") -> Sequence[Key]:
        """The keys of an account; empty = the own one."""
        query = {"accountId": account_id or None}
        return self._transport.json(KeyPage, "ListKeys", "GET", f"{PREFIX}/keys", query=query).keys

    def create(self, scope: str, *, label: str = "", account_id: str = "") -> Key:
        """A new key, with its secret. `scope`: admin, deploy, invoke or read."""
        content = {"scope": scope, "label": label, "accountId": account_id}
        return self._transport.json(Key, "CreateKey", "POST", f"{PREFIX}/keys", content=content)

    def rotate(self, access_key_id: str, *, deactivate_old: bool = False) -> Key:
        """A key like this one, with its secret. The old one works on unless it is to be deactivated at once."""
        content = {"deactivateOld": deactivate_old}
        path = f"{_path(access_key_id)}/rotate"
        return self._transport.json(Key, "RotateKey", "POST", path, content=content)

    def activate(self, access_key_id: str) -> Key:
        """The key works again."""
        return self._transport.json(Key, "ActivateKey", "POST", f"{_path(access_key_id)}/activate")

    def deactivate(self, access_key_id: str) -> Key:
        """The key is refused from now on, and all tokens made with it."""
        return self._transport.json(Key, "DeactivateKey", "POST", f"{_path(access_key_id)}/deactivate")

    def delete(self, access_key_id: str) -> None:
        """The key is gone."""
        self._transport.call("DeleteKey", "DELETE", _path(access_key_id))

    def audit(self, *, before: int = 0, changes: bool = False, limit: int = 100) -> AuditPage:
        """What was done in the account, newest first; only what changed something if `changes`."""
        query = {"before": before or None, "changes": True if changes else None, "limit": limit}
        return self._transport.json(AuditPage, "ListAudit", "GET", f"{PREFIX}/audit", query=query)


def _path(access_key_id: str) -> str:
    return f"{PREFIX}/keys/{signer.percent_encode(access_key_id)}"
