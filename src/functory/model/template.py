"""A template: a process that has loaded one function revision once, and is forked for its instances."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from functory.model.function import Function

SNAPSHOT_VARIABLE = "FUNCTORY_SNAPSHOT"
"""The function's own word in whether it is copied, among its environment variables."""
SNAPSHOT_MODES = ("auto", "on", "off")


class TemplateState(StrEnum):
    """Where a function's template stands.

    none ──→ making ──→ ready ──→ none        none ──→ making ──→ refused, for this revision
    """

    NONE = "none"  #: there is none: loading is quick, or nobody has called lately
    MAKING = "making"  #: it loads the code
    READY = "ready"  #: instances are forked from it
    REFUSED = "refused"  #: this revision cannot be copied; `reason` says why
    OFF = "off"  #: the function does not want to be copied


class TemplateView(msgspec.Struct, frozen=True, kw_only=True):
    """A template as the API shows it."""

    function: Function
    state: TemplateState
    reason: str = ""
    """Why it was refused, or why the last one went."""
    instance_id: str = ""
    """Its process, while it stands."""
    import_us: int = 0
    """What loading the code took; instances do not pay it again."""
    init_us: int = 0
    """What the initializer took."""
    memory_bytes: int = 0
    forks: int = 0
    """Instances started from it."""
    children: int = 0
    """Those of them that run."""
    log: str = ""
    """What it printed while it loaded, the beginning."""
