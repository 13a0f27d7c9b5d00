"""Triggers of functions, by name: the management half of the official API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from functory.sdk import answers, signer
from functory.sdk.functions import path_of
from functory.sdk.transport import Transport


class HttpUrls(answers.Answer, frozen=True, kw_only=True):
    """Where an HTTP trigger is called."""

    url_internet: str = ""
    url_intranet: str = ""


class Trigger(answers.Answer, frozen=True, kw_only=True):
    """A trigger as GetTrigger answers it."""

    trigger_name: str
    trigger_type: str
    trigger_config: str = ""
    """JSON."""
    trigger_id: str = ""
    qualifier: str = ""
    description: str = ""
    source_arn: str = ""
    target_arn: str = ""
    created_time: str = ""
    last_modified_time: str = ""
    http_trigger: HttpUrls | None = None

    @property
    def config(self) -> dict[str, Any]:
        """What `trigger_config` says."""
        try:
            return msgspec.json.decode(self.trigger_config, type=dict[str, Any])
        except msgspec.DecodeError:
            return {}


class TriggerPage(answers.Answer, frozen=True, kw_only=True):
    """One page of triggers."""

    triggers: list[Trigger] = msgspec.field(default_factory=list)
    next_token: str | None = None


class Triggers:
    """`client.triggers`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, function: str, name: str, kind: str, config: Mapping[str, Any], **fields: Any) -> Trigger:
        """A new trigger. `fields`: qualifier, description."""
        content = {
            "triggerName": name,
            "triggerType": kind,
            "triggerConfig": msgspec.json.encode(config).decode(),
            **fields,
        }
        return self._transport.json(Trigger, "CreateTrigger", "POST", _path(function), content=content)

    def update(self, function: str, name: str, config: Mapping[str, Any] | None = None, **fields: Any) -> Trigger:
        """The trigger after its configuration or `fields` were changed. What is not named stays as it is."""
        if config is not None:
            fields["triggerConfig"] = msgspec.json.encode(config).decode()
        return self._transport.json(Trigger, "UpdateTrigger", "PUT", _path(function, name), content=fields)

    def get(self, function: str, name: str) -> Trigger:
        """`ApiError` with code `TriggerNotFound` if there is none."""
        return self._transport.json(Trigger, "GetTrigger", "GET", _path(function, name))

    def delete(self, function: str, name: str) -> None:
        """It fires no more."""
        self._transport.call("DeleteTrigger", "DELETE", _path(function, name))

    def list(self, function: str, *, page_size: int = 100) -> Iterator[Trigger]:
        """All triggers of a function in order of name, fetched page by page."""
        token: str | None = None
        while True:
            query = {"limit": page_size, "nextToken": token}
            page = self._transport.json(TriggerPage, "ListTriggers", "GET", _path(function), query=query)
            yield from page.triggers
            token = page.next_token
            if not token:
                return


def _path(function: str, name: str = "") -> str:
    path = f"{path_of(function)}/triggers"
    return f"{path}/{signer.percent_encode(name)}" if name else path
