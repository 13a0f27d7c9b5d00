"""The rules of what may be stored and asked, shared by all back ends: plain functions, no I/O."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from functory.model import errors, ids
from functory.model.account import AccessKey
from functory.model.function import Function, LayerRef
from functory.model.invocation import FAULT, Fault
from functory.model.record import Record

MAX_LIMIT = 10_000
"""The most one page holds."""
MAX_TEXT = 1024
"""The longest key or name, in characters."""
MAX_EPOCH = 2**53
"""Epochs stay exact in every JSON reader."""
PLACES_PER_MINUTE = 60 << 31
END = (1 << 63) - 1
"""A place after every request."""

FAILED = frozenset(status for status, fault in FAULT.items() if fault is not Fault.NONE)
"""What `failed_only` keeps. A caller who went away is nobody's failure."""

_PREFIX = re.compile(r"[A-Za-z0-9_-]{0,64}")
_DAY = re.compile(r"[0-9]{8}", re.ASCII)
_ID_LENGTH = 32


class Place(NamedTuple):
    """Where a request stands among all others: by time, then by id where two nodes drew the same number."""

    order: int
    request_id: str


def check_text(what: str, text: str) -> str:
    """The text, if it can be a stored key: 1-1,024 characters that UTF-8 can write."""
    if not 1 <= len(text) <= MAX_TEXT:
        raise errors.InvalidArgument(f"{what} has {len(text)} characters: 1 to {MAX_TEXT} are allowed")
    try:
        text.encode()
    except UnicodeEncodeError as reason:
        raise errors.InvalidArgument(f"{what} {text[:80]!r} is not valid text: {reason.reason}") from None
    return text


def check_function(function: Function) -> Function:
    """The function, if its key and epoch are allowed."""
    check_text("accountId", function.account_id)
    check_text("functionId", function.function_id)
    ids.check_function_name(function.name)
    if not 1 <= function.epoch <= MAX_EPOCH:
        raise errors.InvalidArgument(f"epoch {function.epoch} is not between 1 and {MAX_EPOCH}")
    return function


def check_key(key: AccessKey) -> AccessKey:
    """The access key, if all of it is text that can be stored."""
    check_text("accessKeyId", key.access_key_id)
    check_text("accountId", key.account_id)
    check_text("the secret", key.secret)
    return key


def check_layer(key: str, layer: LayerRef) -> None:
    """Passes if the layer and what it was built from can be stored."""
    check_text("the layer's key", key)
    check_text("the layer's ARN", layer.arn)
    check_text("the layer's digest", layer.digest)
    if not 0 <= layer.size_bytes <= END:
        raise errors.InvalidArgument(f"a layer of {layer.size_bytes} bytes is not possible")


def known_name(name: str) -> str:
    """The name, if a function can be called so; else `FunctionNotFound`, as there can be none."""
    if not ids.FUNCTION_NAME.fullmatch(name):
        raise errors.FunctionNotFound(name[:80])
    return name


def can_start_a_name(prefix: str) -> bool:
    """Whether any function name may start with `prefix`."""
    return _PREFIX.fullmatch(prefix) is not None


def check_limit(limit: int) -> int:
    """The limit, if a page may hold as much."""
    if not 1 <= limit <= MAX_LIMIT:
        raise errors.InvalidArgument(f"limit {limit} is not between 1 and {MAX_LIMIT}")
    return limit


def check_page(account_id: str, after: str, limit: int) -> None:
    """Passes if this page of functions can be asked for."""
    check_text("accountId", account_id)
    check_limit(limit)
    if after:
        check_text("the name to start after", after)


def check_requests(account_id: str, function: str, limit: int) -> None:
    """Passes if this page of records can be asked for."""
    check_text("accountId", account_id)
    check_limit(limit)
    if function:
        check_text("functionName", function)


def check_day(day: str) -> str:
    """The day, if it is a date written `YYYYMMDD`."""
    if _DAY.fullmatch(day):
        try:
            datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)
        except ValueError:
            pass
        else:
            return day
    raise errors.InvalidArgument(f"day {day[:20]!r} is not a date written YYYYMMDD")


def place(request_id: str) -> Place:
    """Where this request stands; `RequestNotFound` for what is no request id: there can be no record of it."""
    try:
        return Place(ids.request_order(request_id), request_id)
    except ValueError as reason:
        raise errors.RequestNotFound(f"{reason}: they look like 1-65a77fbb-157f3f32-e1ee24b17e49") from None


def bounds(after: str, before: str) -> tuple[Place, Place]:
    """The places between which to look, both exclusive; an empty id is no bound."""
    return (place(after) if after else Place(-1, ""), place(before) if before else Place(END, "~"))


def day_of(order: int) -> str:
    """The day (UTC) of a place, as `YYYYMMDD`."""
    return datetime.fromtimestamp(order >> 31, UTC).strftime("%Y%m%d")


def minute_end(order: int) -> int:
    """The last place of the same minute."""
    return min(order // PLACES_PER_MINUTE * PLACES_PER_MINUTE + PLACES_PER_MINUTE - 1, END)


def orders(request_ids: Sequence[str]) -> list[int]:
    """`ids.request_order` of many ids; `InvalidArgument` if one is no request id.

    Read as one long hexadecimal number: a tenth of the cost of one regular expression and two conversions each, and
    this runs for every invocation. A hyphen counts as a zero, which makes an id 16 bytes: `10SS SSSS SS0P PPPP PPP0
    CCCC CCCC CCCC` (seconds, prefix, counter).
    """
    raw = _as_bytes(request_ids)
    if raw is None:
        raise errors.InvalidArgument(f"{_first_bad(request_ids)[:60]!r} is not a request id")
    return [((high >> 24 & 0xFFFFFFFF) << 31) | (low & 0x7FFFFFFF) for high, low in struct.iter_unpack(">QQ", raw)]


def _as_bytes(request_ids: Sequence[str]) -> bytes | None:
    """16 bytes for each id, or None if one of them is not well formed."""
    joined, count = "".join(request_ids), len(request_ids)
    shaped = (
        set(map(len, request_ids)) <= {_ID_LENGTH}
        and joined[0::32] == "1" * count
        and joined[1::32] == joined[10::32] == joined[19::32] == "-" * count
        and joined.count("-") == 3 * count
        and joined == joined.lower()
    )
    if not shaped:
        return None
    try:
        raw = bytes.fromhex(joined.replace("-", "0"))
    except ValueError:
        return None
    return raw if len(raw) == 16 * count else None  # shorter where blanks stood for digits


def _first_bad(request_ids: Sequence[str]) -> str:
    return next((each for each in request_ids if not ids.REQUEST_ID.fullmatch(each)), "")


def failures(records: Sequence[Record]) -> int:
    """How many of these failed."""
    return sum([record.status in FAILED for record in records])


def check_epoch(stored: int, wanted: int, what: str) -> None:
    """`ConcurrentUpdate` unless the stored revision is the wanted one; 0 = whichever stands there."""
    if wanted not in (0, stored):
        raise errors.ConcurrentUpdate(f"{what} was changed by somebody else")
