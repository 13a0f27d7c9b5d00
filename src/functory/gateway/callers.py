"""Where functions may be called from: those that are bound to VPCs answer calls from these only.

As in the official service this concerns InvokeFunction; calls by triggers go on as before. In a VPC is whoever calls
from an address that one of its networks has.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

from functory.model import errors
from functory.model.vpc import Vpc


class Callers:
    """The bound functions, by account and name."""

    def __init__(self) -> None:
        self.bound: Mapping[tuple[str, str], Sequence[Vpc]] = {}
        """Empty on most nodes: one look for each call."""

    def check(self, account_id: str, name: str, peer: str) -> None:
        """`AccessDenied` if the function is bound to VPCs and the call comes from none of them."""
        vpcs = self.bound.get((account_id, name))
        if vpcs is None or any(_is_in(vpc, peer) for vpc in vpcs):
            return
        names = ", ".join(vpc.vpc_id for vpc in vpcs)
        raise errors.AccessDenied(
            f"Resource access is bound by VPC: {names}", hint=f"this call comes from {peer or 'nowhere'}"
        )


def _is_in(vpc: Vpc, peer: str) -> bool:
    try:
        found = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    address = getattr(found, "ipv4_mapped", None) or found
    return any(address in ipaddress.ip_network(cidr) for cidr in vpc.cidrs)
