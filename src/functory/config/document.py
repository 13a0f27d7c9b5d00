"""The table as a page for people: `docs/settings.md`."""

from __future__ import annotations

from pathlib import Path

from functory.config.rules import show
from functory.config.settings import HEADINGS, PREFIX, SETTINGS, Setting
from functory.config.sources import FILE_NAME

_HEAD = f"""# Settings

Made by `python -m functory.config > docs/settings.md` from the table in `src/functory/config/settings.py`; a test
compares them.

A value comes from the first place that names it: the flag (`--queue-max 50`), the environment
(`{PREFIX}QUEUE_MAX=50`), the file (`queue_max = 50` under `[node]` in the data folder's `{FILE_NAME}`, or in the one
named by `--config`), the default. Sizes take `KB`, `MB`, `GB` (powers of 1024), durations `ms`, `s`, `m`, `h`, `d`.
A name that is not in this table is refused, with the nearest one that is.
"""


def document() -> str:
    """The text of `docs/settings.md`."""
    lines = [_HEAD]
    for setting in SETTINGS:
        if setting.name in HEADINGS:
            lines += [
                "",
                f"## {HEADINGS[setting.name]}",
                "",
                "| Setting | Default | Rule | Meaning |",
                "|---|---|---|---|",
            ]
        lines.append(f"| `{setting.name}` | {shown(setting)} | {setting.rule.describe()} | {setting.rule.help} |")
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def shown(setting: Setting) -> str:
    """The default, with its unit."""
    value = setting.default
    text = str(value) if isinstance(value, str | Path) else show(setting.rule.unit, value)
    return f"`{text}`" if text else "–"
