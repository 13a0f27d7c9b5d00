"""What an interpreter is started with to become a zygote: `python -I -S -X utf8 python.py FOLDER UID [MODULE ...]`.

    FOLDER   where the sandbox's own modules lie (`zygote`, `confine`, `tree`)
    UID      a user id to try out, or 0
    MODULE   what to import beforehand

The control socket is descriptor 3. The modules here and there become one package `_functory`, found by path: nothing of
the node's own installation can be imported, neither by us nor by a function.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _load(name: str, folders: list[str]) -> Any:
    if "_functory" not in sys.modules:
        package = type(sys)("_functory")
        package.__path__ = folders
        sys.modules["_functory"] = package
    return __import__("_functory." + name, fromlist=["main"])


if __name__ == "__main__":
    _folders = [os.path.dirname(os.path.abspath(__file__)), sys.argv[1]]
    for _name in sys.argv[3:]:
        __import__(_name)
    if sys.argv[3:]:  # for functions that run requests side by side, and for programs of their own
        _load("coroutines", _folders), _load("threads", _folders), _load("custom", _folders)
    _zygote, _confine = _load("zygote", _folders), _load("confine", _folders)
    _python = _load("runtime", _folders).Runtime(_confine.REQUEST_FD, _confine.REPLY_FD)
    _zygote.main(3, int(sys.argv[2]), _python.warm, _python.run)
