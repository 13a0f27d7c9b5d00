"""One documented table of settings: the fields of `Settings`.

Each field has its default, its rule (unit and limits) and a sentence of help; `docs/settings.md`, the command line's
help and every refusal are made from them. A value comes from the first place that names it:

    flag  >  FUNCTORY_* environment  >  [node] table of functory.toml  >  default

The file is the one named by `--config`, else `functory.toml` in the data folder. What no setting is called is refused
rather than ignored, with the nearest name: a limit that was misspelt is a limit that is not there.
`python -m functory.config` prints the table as `docs/settings.md` holds it.
"""

from functory.config.rules import Rule, Unit
from functory.config.settings import SETTINGS, Setting, Settings
from functory.config.sources import CLIENT_VARIABLES, FILE_NAME, load

__all__ = ["CLIENT_VARIABLES", "FILE_NAME", "SETTINGS", "Rule", "Setting", "Settings", "Unit", "load"]
