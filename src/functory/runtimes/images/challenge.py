"""What a registry asks for before it answers: `WWW-Authenticate`. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

_FIELD = re.compile(r'([A-Za-z_]+)="([^"]*)"')


class Bearer(NamedTuple):
    """A token is wanted, and this is where to get it."""

    realm: str
    service: str
    scope: str


class Basic(NamedTuple):
    """User and password are wanted."""


def parse(header: str) -> Bearer | Basic | None:
    """What the header asks for; None if it is nothing that is known."""
    scheme, _, rest = header.strip().partition(" ")
    if scheme.lower() == "basic":
        return Basic()
    fields = dict(_FIELD.findall(rest))
    if scheme.lower() != "bearer" or not fields.get("realm"):
        return None
    return Bearer(fields["realm"], fields.get("service", ""), fields.get("scope", ""))
