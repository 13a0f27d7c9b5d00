"""Names and ids: their rules, and the makers of new ones.

A request id looks like the official `1-65a77fbb-157f3f32-e1ee24b17e49`: seconds since 1970 (8 hex), a number drawn
once per node start (8 hex), a counter (12 hex). A counter with a random prefix is unique at a fiftieth of the cost of
uuid4, and sorts by time.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from functory.model import errors

FUNCTION_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
REQUEST_ID = re.compile(r"1-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{12}")
LATEST = "LATEST"


def check_function_name(name: object) -> str:
    """The name, if it is 1-64 characters of `A-Za-z0-9_-` and does not start with a digit or hyphen."""
    if not isinstance(name, str) or not FUNCTION_NAME.fullmatch(name):
        shown = repr(name if not isinstance(name, str) else name[:80])
        raise errors.InvalidArgument(
            f"functionName {shown} is not valid: 1-64 letters, digits, '_' or '-', not starting with a digit or '-'"
        )
    return name


def function_arn(region: str, account_id: str, name: str, qualifier: str = "") -> str:
    """`acs:fc:{region}:{account}:functions/{name}[/{qualifier}]`."""
    arn = f"acs:fc:{region}:{account_id}:functions/{name}"
    return f"{arn}/{qualifier}" if qualifier else arn


def request_id_maker(seed: int, now_s: Callable[[], float]) -> Callable[[], str]:
    """A maker of request ids. `seed`: any 32-bit number that differs per node start; `now_s`: the wall clock."""
    prefix = f"{seed & 0xFFFFFFFF:08x}"
    counter = 0

    def make() -> str:
        nonlocal counter
        counter += 1
        return f"1-{int(now_s()):08x}-{prefix}-{counter:012x}"

    return make


def request_order(request_id: str) -> int:
    """A 63-bit number that orders the request ids of one node by time; raises ValueError for another shape.

    Seconds (32 bits), then the low 31 bits of the counter.
    """
    if not REQUEST_ID.fullmatch(request_id):
        raise ValueError(f"{request_id[:60]!r} is not a request id")
    return (int(request_id[2:10], 16) << 31) | (int(request_id[20:32], 16) & 0x7FFFFFFF)


def request_time_s(request_id: str) -> int:
    """The second in which the request was accepted, since 1970."""
    return int(request_id[2:10], 16)
