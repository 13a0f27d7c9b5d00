"""VPCs: what functions may reach that name them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from functory.sdk import answers, signer
from functory.sdk.transport import Transport

PREFIX = "/functory/v1/vpcs"


class Vpcs:
    """`client.vpcs`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> Sequence[answers.Vpc]:
        """All of the account, in order of id."""
        return self._transport.json(answers.VpcPage, "ListVpcs", "GET", PREFIX).vpcs

    def get(self, vpc_id: str) -> answers.Vpc:
        """One of them, with the functions that name it."""
        return self._transport.json(answers.Vpc, "GetVpc", "GET", _path(vpc_id))

    def create(self, vpc_id: str, fields: Mapping[str, object]) -> answers.Vpc:
        """A new one. `fields`: names, cidrs, ports, protocols, hosts, description."""
        content = {"vpcId": vpc_id, **fields}
        return self._transport.json(answers.Vpc, "CreateVpc", "POST", PREFIX, content=content)

    def replace(self, vpc_id: str, fields: Mapping[str, object]) -> answers.Vpc:
        """Another definition in its place: what is not given is empty from now on."""
        return self._transport.json(answers.Vpc, "ReplaceVpc", "PUT", _path(vpc_id), content=dict(fields))

    def delete(self, vpc_id: str) -> None:
        """It is gone; refused while a function names it."""
        self._transport.call("DeleteVpc", "DELETE", _path(vpc_id))


def _path(vpc_id: str) -> str:
    return f"{PREFIX}/{signer.percent_encode(vpc_id)}"
