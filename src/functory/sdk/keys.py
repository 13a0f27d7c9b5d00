"""Access keys, and the trail of what was done with them. For keys of scope admin."""

from __future__ import annotations

from collections.abc import Sequence

from functory.sdk import answers, signer
from functory.sdk.transport import Transport

PREFIX = "/functory/v1"


class Keys:
    """`client.keys`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, account_id: str = "") -> Sequence[answers.Key]:
        """The keys of an account; empty = the own one."""
        query = {"accountId": account_id or None}
        return self._transport.json(answers.KeyPage, "ListKeys", "GET", f"{PREFIX}/keys", query=query).keys

    def create(self, scope: str, *, label: str = "", account_id: str = "") -> answers.Key:
        """A new key, with its secret. `scope`: admin, deploy, invoke or read."""
        content = {"scope": scope, "label": label, "accountId": account_id}
        return self._transport.json(answers.Key, "CreateKey", "POST", f"{PREFIX}/keys", content=content)

    def rotate(self, access_key_id: str, *, deactivate_old: bool = False) -> answers.Key:
        """A key like this one, with its secret. The old one works on unless it is to be deactivated at once."""
        content = {"deactivateOld": deactivate_old}
        path = f"{_path(access_key_id)}/rotate"
        return self._transport.json(answers.Key, "RotateKey", "POST", path, content=content)

    def activate(self, access_key_id: str) -> answers.Key:
        """The key works again."""
        return self._transport.json(answers.Key, "ActivateKey", "POST", f"{_path(access_key_id)}/activate")

    def deactivate(self, access_key_id: str) -> answers.Key:
        """The key is refused from now on, and all tokens made with it."""
        return self._transport.json(answers.Key, "DeactivateKey", "POST", f"{_path(access_key_id)}/deactivate")

    def delete(self, access_key_id: str) -> None:
        """The key is gone."""
        self._transport.call("DeleteKey", "DELETE", _path(access_key_id))

    def audit(self, *, before: int = 0, changes: bool = False, limit: int = 100) -> answers.AuditPage:
        """What was done in the account, newest first; only what changed something if `changes`."""
        query = {"before": before or None, "changes": True if changes else None, "limit": limit}
        return self._transport.json(answers.AuditPage, "ListAudit", "GET", f"{PREFIX}/audit", query=query)


def _path(access_key_id: str) -> str:
    return f"{PREFIX}/keys/{signer.percent_encode(access_key_id)}"
