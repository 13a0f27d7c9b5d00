"""How a function finds what its layers bring, beside the modules that its runtime looks for itself.

Officially layers lie at /opt, merged, the lower index winning; programs are found in `/opt/bin`, libraries in
`/opt/lib`. In a box there is such a place. A plain process has none: it gets the layers' own folders in the same order,
so that what is looked up along a path is found as if they were merged, and `/opt` in the function's own variables
stands for them. What opens `/opt/…` by its name finds nothing there; that needs mounts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

OPT = "/opt"
_FOR_ALL = (("PATH", "bin"), ("LD_LIBRARY_PATH", "lib"))
_FOR_PROGRAMS = (("PYTHONPATH", "python"), ("NODE_PATH", "nodejs/node_modules"))
"""Runtimes of ours add these themselves; a program's own interpreter looks into its variables."""
_DEFAULT = {"PATH": "/usr/local/bin:/usr/bin:/bin"}


def environment(
    given: Mapping[str, str],
    places: Sequence[str],
    *,
    program: bool,
    exists: Callable[[str], bool] = os.path.exists,
) -> dict[str, str]:
    """The variables of a function with layers in `places`, the first winning. Without layers, `given` as it is."""
    if not places:
        return dict(given)
    merged = tuple(places) == (OPT,)
    found = dict(given) if merged else {name: _placed(name, value, places, exists) for name, value in given.items()}
    for name, folder in (*_FOR_ALL, *(_FOR_PROGRAMS if program else ())):
        ours = [f"{place}/{folder}" for place in places]
        if not merged:
            ours = [path for path in ours if exists(path)]
        own = found.get(name) or _DEFAULT.get(name, "")
        # A module of the function's own path wins, as its code does; a layer's program is there to be used.
        parts = [*ours, own] if name == "PATH" else [own, *ours]
        if ours:
            found[name] = ":".join(part for part in parts if part)
    return found


def _placed(name: str, value: str, places: Sequence[str], exists: Callable[[str], bool]) -> str:
    """A value in which `/opt` means the layers: all of them in a search path, else the one that has it."""
    if not _is_below(value, OPT) and ":/opt" not in value:
        return value
    if name.endswith("PATH"):
        return ":".join(
            part if not _is_below(part, OPT) else ":".join(place + part[len(OPT) :] for place in places)
            for part in value.split(":")
        )
    candidates = [place + value[len(OPT) :] for place in places] if _is_below(value, OPT) else []
    return next((path for path in candidates if exists(path)), value)


def _is_below(path: str, top: str) -> bool:
    return path == top or path.startswith(top + "/")
