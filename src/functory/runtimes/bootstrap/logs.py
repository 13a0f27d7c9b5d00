"""The official shape of `logging`: `2026-11-23T10:00:00.123Z <request id> [INFO] text`, from level INFO on.

`logging` costs an instance 3 ms and `threading`, so it is set up when the function's code imports it, not before.
"""

from __future__ import annotations

import sys
import time

from . import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from types import ModuleType
    from typing import Any


def when_imported(out: output.Output) -> None:
    """Sets `logging` up as soon as it is imported."""
    if "logging" in sys.modules:
        _set_up(sys.modules["logging"], out)
    else:
        sys.meta_path.insert(0, _Finder(out))


class _Finder:
    """Stands first in `sys.meta_path` until `logging` is asked for."""

    def __init__(self, out: output.Output) -> None:
        self._out = out

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:
        """Finds `logging` as the others do, with our set-up behind it; nothing else."""
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, None)
            if spec is not None and spec.loader is not None:
                self._wrap(spec.loader)
                return spec
        return None

    def _wrap(self, loader: Any) -> None:
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            _set_up(module, self._out)

        loader.exec_module = exec_module


def _set_up(module: Any, out: output.Output) -> None:
    class Handler(module.Handler):  # type: ignore[misc]
        """Prints records as LOG frames."""

        def emit(self, record: logging.LogRecord) -> None:
            try:
                stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
                head = f"{stamp}.{int(record.msecs):03d}Z {out.request_id()} [{record.levelname}] "
                out.write((head + self.format(record) + "\n").encode("utf-8", "backslashreplace"))
            except RecursionError:
                raise
            except Exception:
                self.handleError(record)

    root = module.getLogger()
    if not root.handlers:
        root.addHandler(Handler())
        root.setLevel(module.INFO)
