"""A deploy file, whatever its format: found, read, and its functions and layers made ready.

Which file is meant: the one that is named; in a folder `functory.yaml`, then `functory.toml`, then `s.yaml`; a folder
without any is a function by itself, and so is a source file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from functory.sdk import functory_yaml, project, serverless_yaml
from functory.sdk.credentials import Credentials
from functory.sdk.errors import ProjectError
from functory.sdk.units import Stack, Unit

_ORDER = (*functory_yaml.FILE_NAMES, project.FILE_NAME, *serverless_yaml.FILE_NAMES)


def find(source: Path) -> Path | None:
    """The YAML file that is meant, or None if the folder or source file is a function by itself."""
    if source.suffix in (".yaml", ".yml"):
        if not source.is_file():
            raise ProjectError(
                f"there is no file or folder {str(source)!r}", hint="give a folder, a source file or a deploy file"
            )
        return source
    found = next((source / name for name in _ORDER if (source / name).is_file()), None)
    return None if found is None or found.name == project.FILE_NAME else found


def here() -> Path:
    """The deploy file of this folder, where none is named. A folder is packed only if somebody names it."""
    found = next((Path(name) for name in _ORDER if Path(name).is_file()), None)
    if found is None:
        raise ProjectError(
            f"there is neither {functory_yaml.FILE_NAMES[0]} nor another deploy file in this folder",
            hint="name a folder, a source file or a deploy file; functory new NAME makes a folder",
        )
    return Path() if found.name == project.FILE_NAME else found


def load(source: Path, environ: Mapping[str, str], credentials: Credentials | None = None) -> Stack:
    """What `source` asks for: a deploy file, a folder or a source file."""
    path = find(source)
    if path is None:
        return Stack(units=(Unit(project=project.load(source), source=source),))
    if _is_serverless(path):
        return serverless_yaml.load(path, environ, _config(credentials))
    return functory_yaml.load(path, environ)


def _is_serverless(path: Path) -> bool:
    """By its name; a file of another name by the key that only `s.yaml` has."""
    if path.name in serverless_yaml.FILE_NAMES:
        return True
    if path.name in functory_yaml.FILE_NAMES:
        return False
    lines = path.read_text("utf-8", "replace").splitlines()
    return any(line.startswith(("edition:", "resources:")) for line in lines)


def _config(credentials: Credentials | None) -> dict[str, str]:
    """What `${config(…)}` answers, by its official names."""
    if credentials is None:
        return {}
    return {
        "AccountID": credentials.account_id,
        "AccessKeyID": credentials.access_key_id,
        "AccessKeySecret": credentials.access_key_secret,
    }
