"""Finds the function's code: the search path, the handler, the hooks."""

from __future__ import annotations

import os
import sys

from . import fault, frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Handler = Callable[..., Any]

_machinery: Any = sys.modules["_frozen_importlib_external"]
_loader: Any = sys.modules["_frozen_importlib"]
_COROUTINE, _ASYNC_GENERATOR = 0x80, 0x200


def set_path(code_dir: str, layer_dirs: list[str]) -> None:
    """The code first, then the layers (lower index wins), then PYTHONPATH, then the standard library."""
    found = [code_dir]
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for layer in layer_dirs:
        for folder in ("python", f"python/lib/{version}/site-packages"):
            path = os.path.join(layer, folder)
            if os.path.isdir(path):
                found.append(path)
    found += [path for path in os.environ.get("PYTHONPATH", "").split(":") if path]
    sys.path[:0] = found


def find(name: str, what: str) -> Handler:
    """The callable `module.name`; the module may be written `package/module` or `package.module`."""
    path, _, attribute = name.rpartition(".")
    module = path.replace("/", ".")
    if not module or not attribute or module.startswith("."):
        raise fault.Refused("HandlerNotFound", f"{what} {name!r} is not of the form 'file.function'", frames.E_HANDLER)
    try:
        if not _load_directly(module):
            __import__(module)
    except ImportError as failure:
        missing = failure.name
        if missing and (module == missing or module.startswith(missing + ".")):
            raise fault.Refused(
                "ImportModuleError",
                f"module {module!r} of {what} {name!r} is not in the code: there is no {_file(module)}",
                frames.E_HANDLER,
            ) from failure
        raise
    found: Handler | None = getattr(sys.modules[module], attribute, None)
    if found is None:
        raise fault.Refused(
            "HandlerNotFound", f"{what} {attribute!r} is missing in module {module!r}", frames.E_HANDLER
        )
    if not callable(found):
        raise fault.Refused("HandlerNotFound", f"{what} {name!r} cannot be called", frames.E_HANDLER)
    return found


def _load_directly(module: str) -> bool:
    """Loads a plain module at the top of the code, past the finders: those would list every folder first."""
    path = os.path.join(sys.path[0], module + ".py")
    if "." in module or module in sys.modules or os.path.isdir(path[:-3]) or not os.path.isfile(path):
        return False
    spec = _loader.ModuleSpec(module, _machinery.SourceFileLoader(module, path), origin=path)
    spec.has_location = True
    made = sys.modules[module] = _loader.module_from_spec(spec)
    try:
        exec(spec.loader.get_code(module), made.__dict__)
    except BaseException:
        sys.modules.pop(module, None)
        raise
    return True


def _file(module: str) -> str:
    return module.replace(".", "/") + ".py"


def is_async(handler: Handler) -> bool:
    """Whether calling it gives a coroutine or an asynchronous generator."""
    while hasattr(handler, "func"):  # functools.partial
        handler = handler.func
    function: Any = getattr(handler, "__func__", handler)
    if not hasattr(function, "__code__"):
        function = getattr(type(handler).__call__, "__func__", type(handler).__call__)
    code = getattr(function, "__code__", None)
    return code is not None and bool(code.co_flags & (_COROUTINE | _ASYNC_GENERATOR))
