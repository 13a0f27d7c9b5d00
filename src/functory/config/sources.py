"""Where values come from: flag, environment, file, default."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from functory.config.settings import BY_NAME, PREFIX, Settings
from functory.model import errors

FILE_NAME = "functory.toml"
CLIENT_VARIABLES = frozenset({"FUNCTORY_ENDPOINT", "FUNCTORY_ACCESS_KEY_ID", "FUNCTORY_ACCESS_KEY_SECRET"})
"""Read by the command line and the SDK when they call a node; not settings of the node."""


def load(flags: Mapping[str, object], environ: Mapping[str, str], file: Path | None = None) -> Settings:
    """The settings in force.

    `flags`: setting name to value; None = not given. `file`: the `--config` file, which must exist; None = the data
    folder's `functory.toml`, if there is one. `InvalidArgument` names setting, source, value and rule.
    """
    values = _from_flags(flags) | {k: v for k, v in _from_environ(environ).items() if flags.get(k) is None}
    if file is None:
        beside = Path(values.get("data", BY_NAME["data"].default)) / FILE_NAME
        found = _from_file(beside, refused="data") if beside.is_file() else {}
    else:
        found = _from_file(file)
    return Settings(**(found | values))


def _from_flags(flags: Mapping[str, object]) -> dict[str, Any]:
    return {
        name: _value(name, raw, f"flag --{name.replace('_', '-')}") for name, raw in flags.items() if raw is not None
    }


def _from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    names = (key for key in environ if key.startswith(PREFIX) and key not in CLIENT_VARIABLES)
    return {_name_of(key): _value(_name_of(key), environ[key], f"environment {key}") for key in names}


def _name_of(variable: str) -> str:
    return variable.removeprefix(PREFIX).lower()


def _from_file(path: Path, *, refused: str = "") -> dict[str, Any]:
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except OSError as failure:
        raise errors.InvalidArgument(f"the settings file {path} cannot be read: {failure.strerror}") from failure
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as failure:
        raise errors.InvalidArgument(f"the settings file {path} is not TOML: {failure}") from failure
    strangers = sorted(set(tables) - {"node"})
    if strangers or not isinstance(tables.get("node", {}), dict):
        shown = repr(strangers[0]) if strangers else "'node', which is not a table,"
        raise errors.InvalidArgument(f"{path} holds {shown} at its top: settings belong under [node]")
    values = {name: _value(name, raw, f"file {path}") for name, raw in tables.get("node", {}).items()}
    if refused in values:
        raise errors.InvalidArgument(f"{refused} cannot be set in {path}: the file lies in that folder")
    if "data" in values:
        # A path in a file is meant from where the file lies, wherever the node is started.
        values["data"] = path.parent / str(values["data"])
    return values


def _value(name: str, raw: object, source: str) -> str | int | float | Path:
    setting = BY_NAME.get(name)
    if setting is None:
        near = difflib.get_close_matches(name, BY_NAME, n=1, cutoff=0.0)
        raise errors.InvalidArgument(f"{source}: there is no setting {name!r}", hint=f"the nearest one is {near[0]!r}")
    try:
        return setting.rule.parse(raw)
    except ValueError:
        shown = repr(raw)[:80]
        raise errors.InvalidArgument(f"{name} = {shown} ({source}) is not allowed: {setting.rule.describe()}") from None
