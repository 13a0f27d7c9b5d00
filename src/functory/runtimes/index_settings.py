"""Where packages come from is the machine's own business: its settings for pip are handed on to uv, which reads others.

uv reads `UV_*` variables and `uv.toml`. Where a machine has only told pip about its index, its certificates or its
wheels (`PIP_*`, `pip.conf`), the same is said to uv by variables. What is said to uv directly always wins.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

_SAME = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
}
"""pip's option, and the variable by which uv takes it."""
_OLD_NAMES = {"UV_DEFAULT_INDEX": ("UV_INDEX_URL",), "UV_INDEX": ("UV_EXTRA_INDEX_URL",)}


def for_installer(environ: Mapping[str, str], files: Sequence[Path]) -> dict[str, str]:
    """`environ` with pip's settings said again to uv. `files`: pip's configuration files, the last one strongest."""
    settings = _from_files(files)
    for option in _SAME:
        value = environ.get(f"PIP_{option.upper().replace('-', '_')}", "")
        if value:
            settings[option] = value
    result = dict(environ)
    for option, variable in _SAME.items():
        said = any(result.get(name) for name in (variable, *_OLD_NAMES.get(variable, ())))
        if not said and (value := _value(option, settings.get(option, ""))):
            result[variable] = value
    return result


def pip_files(environ: Mapping[str, str]) -> list[Path]:
    """Where pip keeps its settings on this machine, the strongest last."""
    if environ.get("PIP_CONFIG_FILE"):
        return [Path(environ["PIP_CONFIG_FILE"])]
    files = [Path("/etc/pip.conf")]
    if home := environ.get("HOME"):
        config = Path(environ.get("XDG_CONFIG_HOME") or Path(home, ".config"))
        files += [Path(home, ".pip", "pip.conf"), config / "pip" / "pip.conf"]
    return files


def _from_files(files: Sequence[Path]) -> dict[str, str]:
    parser = configparser.RawConfigParser(strict=False)
    for path in files:
        try:
            parser.read_string(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, configparser.Error):
            continue  # pip's problem, not ours: uv's defaults stand
    return {
        option: value.strip()
        for section in ("global", "install")
        if parser.has_section(section)
        for option, value in parser.items(section)
        if option in _SAME and value.strip()
    }


def _value(option: str, value: str) -> str:
    """The value as uv takes it: lists by blanks, but folders by commas, and only those that are there."""
    if option == "find-links":
        return ",".join(each for each in value.split() if "://" in each or os.path.isdir(each))
    if option == "cert":
        return value if os.path.isfile(value) else ""
    return " ".join(value.split())
