"""VPCs: what functions may reach that name them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from functory.sdk import answers, signer
from functory.sdk.transport import Transport

PREFIX = "/functory/v1/vpcs"


class Vpc(answers.Answer, frozen=True, kw_only=True):
    """What functions may reach that name it."""

    vpc_id: str
    description: str = ""
    names: list[str] = msgspec.field(default_factory=list)
    cidrs: list[str] = msgspec.field(default_factory=list)
    ports: list[str] = msgspec.field(default_factory=list)
    """`443` or `8000-8010`; none = all."""
    protocols: list[str] = msgspec.field(default_factory=list)
    hosts: dict[str, str] = msgspec.field(default_factory=dict)
    functions: list[str] = msgspec.field(default_factory=list)
    """Who names it, `name` or `name@version`; only told of one VPC at a time."""
    created_at_ms: int = 0
    modified_at_ms: int = 0


class VpcPage(answers.Answer, frozen=True, kw_only=True):
    """All VPCs of the account."""

    vpcs: list[Vpc] = msgspec.field(default_factory=list)


class Vpcs:
    """`client.vpcs`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, account_id: str = "") -> Sequence[Vpc]:
        """All of the account, in order of id. `account_id`: another's than one's own, for the node's first account."""
        return self._transport.json(VpcPage, "ListVpcs", "GET", PREFIX, query=_of(account_id)).vpcs

    def get(self, vpc_id: str, account_id: str = "") -> Vpc:
        """One of them, with the functions that name it."""
        return self._transport.json(Vpc, "GetVpc", "GET", _path(vpc_id), query=_of(account_id))

    def create(self, vpc_id: str, fields: Mapping[str, object], account_id: str = "") -> Vpc:
        """A new one. `fields`: names, cidrs, ports, protocols, hosts, description."""
        content = {"vpcId": vpc_id, **fields}
        return self._transport.json(Vpc, "CreateVpc", "POST", PREFIX, query=_of(account_id), content=content)

    def replace(self, vpc_id: str, fields: Mapping[str, object], account_id: str = "") -> Vpc:
        """Another definition in its place: what is not given is empty from now on."""
        return self._transport.json(
            Vpc, "ReplaceVpc", "PUT", _path(vpc_id), query=_of(account_id), content=dict(fields)
        )

    def delete(self, vpc_id: str, account_id: str = "") -> None:
        """It is gone; refused while a function names it."""
        self._transport.call("DeleteVpc", "DELETE", _path(vpc_id), query=_of(account_id))


def _of(account_id: str) -> dict[str, str | None]:
    return {"accountId": account_id or None}


def _path(vpc_id: str) -> str:
    return f"{PREFIX}/{signer.percent_encode(vpc_id)}"
