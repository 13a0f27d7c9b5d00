"""Amounts as people read them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

_NANO_PER_MICROCENT = 10
_MICROCENTS_PER_CENT = 1_000_000


def duration(us: float) -> str:
    """`412 µs`, `1.88 ms`, `142 ms`, `3.20 s`, `2 min 5 s`, of microseconds."""
    if us < 1000:
        return f"{us:.0f} µs"
    ms = us / 1000
    if ms < 1000:
        return f"{_three(ms)} ms"
    if ms < 60_000:
        return f"{_three(ms / 1000)} s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days"


def ms(us: float) -> str:
    """The number alone, in milliseconds: `0.04`, `1.9`, `142`; `·` for nothing."""
    if us < 5:
        return "·"
    value = us / 1000
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def size(count: float) -> str:
    """`312 B`, `2.1 KB`, `14.0 MB`, of bytes (powers of 1024)."""
    if count < 1024:
        return f"{count:.0f} B"
    for unit in ("KB", "MB", "GB"):
        count /= 1024
        if count < 1024 or unit == "GB":
            break
    return f"{count:.1f} {unit}" if count < 100 else f"{count:,.0f} {unit}"


def cost(nano_usd: float) -> str:
    """`15.3 µ¢`, millionths of a cent, of thousand-millionths of a dollar; cents and dollars where it is more."""
    microcents = nano_usd / _NANO_PER_MICROCENT
    if microcents < 100:
        return f"{microcents:.1f} µ¢"
    if microcents < _MICROCENTS_PER_CENT:
        return f"{microcents:,.0f} µ¢"
    cents = microcents / _MICROCENTS_PER_CENT
    return f"{cents:.2f} ¢" if cents < 100 else f"${cents / 100:,.2f}"


def clock(at_ms: int) -> str:
    """`10:32:05.123`, in the machine's time zone."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone().strftime("%H:%M:%S.") + f"{at_ms % 1000:03d}"


def moment(at_ms: int) -> str:
    """`2026-11-23 10:32:05.123`, in the machine's time zone."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone().strftime("%Y-%m-%d ") + clock(at_ms)


def ago(iso: str, now: datetime) -> str:
    """`3 min ago`, of an ISO 8601 time; the text itself if it is none."""
    try:
        then = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    seconds = (now - then.astimezone(UTC)).total_seconds()
    for limit, unit, name in ((60, 1, "s"), (3600, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{max(0, int(seconds // unit))} {name} ago"
    return f"{int(seconds // 86400)} days ago"


def count(number: int, one: str, many: str = "") -> str:
    """`1 file`, `3 files`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listed(names: list[str], most: int = 5) -> str:
    """`a, b and c`; `a, b, c, d, e and 3 more`; `nothing`."""
    if not names:
        return "nothing"
    shown = names if len(names) <= most else [*names[:most], f"{len(names) - most} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _three(value: float) -> str:
    """Three significant digits."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"
