"""POLICY: how many instances a configuration keeps ready at a moment. Pure: a time goes in, a number comes out.

The configuration's target stands, from when it is put, until a scheduled action is due inside its window; from then on
that action's target stands, until another one is due or the window ends. Of several, the one due last decides: what an
owner has planned for the evening must not be undone by what he planned for the morning.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from functory.model import errors
from functory.model.limits import Standing
from functory.sources import cron

FOR_EVER_MS = 1 << 62
LOOK_BACK_MS = 400 * 86_400_000
"""Nobody looks further back: an action of every year is found."""


class Action(msgspec.Struct, frozen=True):
    """A scheduled action, read."""

    target: int
    due: cron.Schedule | int
    """A rule, or the one moment."""
    from_ms: int
    until_ms: int

    def last(self, since_ms: int, now_ms: int) -> int | None:
        """When it was last due after `since_ms`; None if it was not, or its window is over."""
        if not self.from_ms <= now_ms < self.until_ms:
            return None
        if isinstance(self.due, int):
            return self.due if since_ms < self.due <= now_ms else None
        return cron.last_due(self.due, max(since_ms, self.from_ms - 1, now_ms - LOOK_BACK_MS), now_ms)

    def next(self, now_ms: int) -> int | None:
        """When it next changes anything: it is due, or its window ends."""
        due = self.due if isinstance(self.due, int) else self.due.after(max(now_ms, self.from_ms - 1))
        found = [at for at in (due, self.until_ms) if at is not None and now_ms < at < FOR_EVER_MS]
        return min(found, default=None)


def at(config: Standing, now_ms: int) -> tuple[int, int | None]:
    """How many instances stand ready now, and when that changes next (None = never by itself)."""
    actions = [read(action) for action in config.actions]
    since_ms = config.modified_at_ms
    fired = [(due, action.target) for action in actions if (due := action.last(since_ms, now_ms)) is not None]
    following = [following for action in actions if (following := action.next(now_ms)) is not None]
    return (max(fired)[1] if fired else config.number), min(following, default=None)


def read(action: dict[str, Any]) -> Action:
    """An action of its official fields; `InvalidArgument` says what is wrong with its expression."""
    zone = action.get("timeZone") or "UTC"
    kind, _, rest = action["scheduleExpression"].partition("(")
    inside = rest.removesuffix(")")
    due: cron.Schedule | int
    if kind == "at":
        due = moment_ms(inside, ZoneInfo(zone))
    elif kind == "cron":
        due = cron.parse(f"CRON_TZ={zone} {inside}", 0)
    else:
        raise errors.InvalidArgument(f"scheduleExpression {action['scheduleExpression'][:80]!r} is not cron() or at()")
    start, end = action.get("startTime"), action.get("endTime")
    return Action(
        target=action["target"],
        due=due,
        from_ms=moment_ms(start, ZoneInfo(zone)) if start else 0,
        until_ms=moment_ms(end, ZoneInfo(zone)) if end else FOR_EVER_MS,
    )


def moment_ms(text: str, zone: tzinfo = UTC) -> int:
    """Milliseconds since 1970 of an ISO 8601 time; without an offset it is meant in `zone`."""
    found = datetime.fromisoformat(text)
    return int((found if found.tzinfo else found.replace(tzinfo=zone)).timestamp() * 1000)
