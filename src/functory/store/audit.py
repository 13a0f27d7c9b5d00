"""Audit events as they are stored, and how many."""

from __future__ import annotations

from functory.model.audit import AuditEvent
from functory.store import parts

KEEP_CHANGES = 100_000
"""Events of calls that change things."""
KEEP_LOOKS = 20_000
"""Events of calls that only look: they are many and tell less."""

read = parts.decoder(AuditEvent)
"""An event of its stored form."""
