"""Layer versions: archives that functions see as read-only folders."""

from __future__ import annotations

import re

import msgspec

from functory.model import errors
from functory.model.function import LayerRef

LAYER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_ARN = re.compile(
    r"acs:fc:([a-z0-9-]+):([A-Za-z0-9]+):layers/([A-Za-z_][A-Za-z0-9_-]{0,63})/versions/([1-9][0-9]{0,8})"
)


class LayerVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a layer: never changed; its number is never given again."""

    account_id: str
    name: str
    number: int
    """1, 2, 3, …"""
    arn: str
    description: str = ""
    license: str = ""
    runtimes: tuple[str, ...] = ()
    """The runtimes its owner says it is for."""
    code_digest: str
    code_checksum: str
    code_size_bytes: int
    created_at_ms: int

    @property
    def ref(self) -> LayerRef:
        """How functions name it."""
        return LayerRef(arn=self.arn, digest=self.code_digest, size_bytes=self.code_size_bytes, archive=True)


def check_layer_name(name: str) -> str:
    """The name, if it is 1-64 characters of `A-Za-z0-9_-` and does not start with a digit or hyphen."""
    if not LAYER_NAME.fullmatch(name):
        raise errors.InvalidArgument(
            f"layerName {name[:80]!r} is not valid: 1-64 letters, digits, '_' or '-', not starting with a digit or '-'"
        )
    return name


def layer_arn(region: str, account_id: str, name: str, number: int) -> str:
    """`acs:fc:{region}:{account}:layers/{name}/versions/{n}`."""
    return f"acs:fc:{region}:{account_id}:layers/{name}/versions/{number}"


def parse_arn(arn: str) -> tuple[str, str, str, int] | None:
    """Region, account, name and number; None for what is no layer's ARN."""
    found = _ARN.fullmatch(arn)
    return (found[1], found[2], found[3], int(found[4])) if found else None
