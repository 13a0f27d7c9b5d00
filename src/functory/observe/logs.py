"""Structured logs: each line is a sentence for people and an action with fields for machines.

`log.info("Function deployed", extra=fields(action="deploy", function=name))` prints, as JSON or as text:
`2026-11-23T10:00:00.123Z INFO  Function deployed  action=deploy function=echo`
Secrets are never passed in: there is no redaction to rely on.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec


def fields(action: str, **values: object) -> dict[str, Any]:
    """The `extra` of a log call: an action, and the facts that belong to it."""
    return {"functory": {"action": action, **values}}


def _stamp(created_s: float) -> str:
    return datetime.fromtimestamp(created_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class TextFormatter(logging.Formatter):
    """One line for people."""

    def format(self, record: logging.LogRecord) -> str:
        facts: dict[str, object] = getattr(record, "functory", {})
        tail = "".join(f" {key}={value}" for key, value in facts.items())
        line = f"{_stamp(record.created)} {record.levelname:<7} {record.getMessage()} {tail}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        facts: dict[str, object] = getattr(record, "functory", {})
        line: dict[str, object] = {
            "at": _stamp(record.created),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            "logger": record.name,
            **facts,
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


def set_up(*, level: str = "info", style: str = "text", stream: TextIO | None = None) -> None:
    """Send Functory's logs to `stream` (standard error by default). `style`: `text` or `json`."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    root = logging.getLogger("functory")
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    root.propagate = False
