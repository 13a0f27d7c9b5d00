"""What a folder says about its function: `functory.toml`, and what can be seen without it.

All keys are optional:

    name = "thumbnail"              default: the folder's name
    runtime = "python3"
    handler = "index.handler"       default: found, see `find_handler`
    memory = 512                    MB
    cpu = 0.35                      vCPU
    timeout = 60                    seconds
    disk = 512                      MB of /tmp
    concurrency = 1                 invocations in one instance at once
    internet = true                 whether its network is reached
    layers = ["acs:fc:…"]           ARNs of layer versions; the first named wins
    description = "…"
    initializer = "index.start"     runs once per instance before the first call
    pre_stop = "index.stop"         runs before an instance goes
    command = ["python3", "app.py"] custom runtimes: what is started; default: the program `bootstrap`
    args = ["--quiet"]              custom runtimes: more words for the command
    port = 9000                     custom runtimes: where it listens; default: where the variable PORT says
    role = "acs:ram::…"             the role that its credentials come from
    [environment]
    KEY = "value"
    [official]                      more fields of CreateFunction, as the API names them
    [[triggers]]                    also: qualifier, description, enable, config = {…} (as the API has it)
    name = "web"
    type = "http"
    auth = "anonymous"              or "function" (the default: callers sign), "jwt"
    methods = ["GET", "POST"]
    [[triggers]]
    name = "nightly"
    type = "timer"
    cron = "0 0 4 * * *"            second minute hour day month weekday, in UTC; or "@every 5m"
    payload = "…"

What neither the file nor a flag names keeps its value when the function exists, and gets the default when it is new.
A key that is not in this list is refused: a limit that was misspelt is a limit that is not there.
"""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from functory.model import errors as model_errors
from functory.model import ids
from functory.sdk.errors import ProjectError, nearest

FILE_NAME = "functory.toml"
REQUIREMENTS = "requirements.txt"
DEFAULT_RUNTIME = "python3"
DEFAULT_TIMEOUT_S = 60
"""More than the official 3 s: those who deploy from a folder are trying things out."""
DEFAULTS: dict[str, Any] = {"memorySize": 512, "timeout": DEFAULT_TIMEOUT_S}
DEFAULT_CPU = 0.35
_CPU_STEP = 0.05
_USUAL = ("index", "main", "app")


_UNSAID: dict[str, dict[str, Any]] = {"http": {"methods": ["GET", "POST"]}, "timer": {"enable": True}}
"""What a trigger of each kind does where nothing is said."""


class ProjectTrigger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A trigger of the function. Either in short words, or with the API's own `config`."""

    name: str
    type: str
    """http or timer."""
    qualifier: str | None = None
    description: str | None = None
    auth: str | None = None
    """http: anonymous, function (the default: callers sign) or jwt."""
    methods: list[str] | None = None
    """http. None = GET and POST."""
    cron: str | None = None
    """timer: six fields or `@every 5m`."""
    payload: str | None = None
    enable: bool | None = None
    role: str | None = None
    """`invocationRole`: kept and answered."""
    source: str | None = None
    """`sourceArn`: what kinds other than http and timer listen to."""
    config: dict[str, Any] | None = None
    """`triggerConfig` as the API has it; what is said in short words comes over it."""

    def further(self) -> dict[str, Any]:
        """More fields of CreateTrigger, as far as they are said."""
        said = {"invocationRole": self.role, "sourceArn": self.source}
        return {key: value for key, value in said.items() if value is not None}

    def full_config(self) -> dict[str, Any]:
        """`triggerConfig`."""
        short = {
            "authType": self.auth,
            "methods": self.methods,
            "cronExpression": self.cron,
            "payload": self.payload,
            "enable": self.enable,
        }
        return (
            _UNSAID.get(self.type, {})
            | (self.config or {})
            | {key: value for key, value in short.items() if value is not None}
        )


class Project(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A function as its folder and the flags describe it. None = nothing is said."""

    name: str = ""
    runtime: str | None = None
    handler: str | None = None
    memory: int | None = None
    """MB."""
    cpu: float | None = None
    timeout: int | None = None
    """Seconds."""
    disk: int | None = None
    """MB of `/tmp`."""
    internet: bool | None = None
    layers: list[str] | None = None
    """ARNs of layer versions. None = those of its requirements alone."""
    environment: dict[str, str] | None = None
    concurrency: int | None = None
    initializer: str | None = None
    pre_stop: str | None = None
    description: str | None = None
    command: list[str] | None = None
    args: list[str] | None = None
    port: int | None = None
    role: str | None = None
    """ARN of the role that its credentials come from."""
    triggers: list[ProjectTrigger] | None = None
    official: dict[str, Any] | None = None
    """More fields of CreateFunction, as the API names them. What is said in short words comes over them."""

    def fields(self) -> dict[str, Any]:
        """What is said, as fields of CreateFunction; environment, layers and handler are `deploy`'s business."""
        plain = {
            "runtime": self.runtime,
            "memorySize": self.memory,
            "cpu": self.cpu,
            "diskSize": self.disk,
            "timeout": self.timeout,
            "internetAccess": self.internet,
            "instanceConcurrency": self.concurrency,
            "description": self.description,
            "role": self.role,
        }
        custom = {"command": self.command, "args": self.args, "port": self.port}
        said = {key: value for key, value in custom.items() if value is not None}
        fields = dict(self.official or {}) | {key: value for key, value in plain.items() if value is not None}
        if said:
            fields["customRuntimeConfig"] = {**(fields.get("customRuntimeConfig") or {}), **said}
        return fields


def load(source: Path) -> Project:
    """What `source`, a folder or one file, says. `ProjectError` names file and key."""
    if not source.exists():
        raise ProjectError(
            f"there is no file or folder {str(source)!r}", hint="give a folder with code, or one source file"
        )
    found = _from_file(source / FILE_NAME) if (source / FILE_NAME).is_file() else Project()
    return found if found.name else msgspec.structs.replace(found, name=_name_of(source))


def merge(project: Project, **flags: Any) -> Project:
    """`project` with the flags that are given (not None) over it; environments are joined."""
    given = {key: value for key, value in flags.items() if value is not None}
    if given.get("environment"):
        given["environment"] = {**(project.environment or {}), **given["environment"]}
    merged = msgspec.structs.replace(project, **given)
    try:
        ids.check_function_name(merged.name)
    except model_errors.InvalidArgument as failure:
        raise ProjectError(failure.message, hint=f'choose one with --name, or name = "…" in {FILE_NAME}') from None
    return merged


def fitting_cpu(memory_mb: int, cpu: float = DEFAULT_CPU) -> float:
    """`cpu`, moved no further than it must be to suit the memory: vCPU to GB from 1:1 to 1:4, in steps of 0.05."""
    memory_gb = memory_mb / 1024
    if memory_gb / 4 <= cpu <= memory_gb:
        return cpu
    lowest = math.ceil(memory_gb / 4 / _CPU_STEP - 1e-9)
    highest = max(1, math.floor(memory_gb / _CPU_STEP + 1e-9))
    return round(min(max(round(cpu / _CPU_STEP), lowest), highest) * _CPU_STEP, 2)


def requirements_of(source: Path) -> str:
    """The text of `requirements.txt` if it asks for anything, else an empty one."""
    path = source / REQUIREMENTS
    return requirements_in(path) if source.is_dir() and path.is_file() else ""


def requirements_in(path: Path) -> str:
    """The text of a requirements file if it asks for anything, else an empty one."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as failure:
        raise ProjectError(f"{path} cannot be read: {failure}") from failure
    return text if packages_in(text) else ""


def packages_in(requirements: str) -> list[str]:
    """The lines of a requirements file that say something."""
    lines = (line.split(" #", 1)[0].strip() for line in requirements.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def find_handler(source: Path, runtime: str, current: str = "") -> str:
    """`file.func`: the handler when none is named.

    The one in force (`current`) if its file is still there; `index`, then whichever of `main` and `app` is there
    alone, then the only source file; the function in it is called `handler`.
    """
    suffixes = _suffixes(runtime)
    if not suffixes:
        return current or ("main" if runtime == "go1" else "index.handler")
    if source.is_file():
        return f"{source.stem}.handler"
    if current and handler_file(source, current, suffixes) is not None:
        return current
    stems = {path.stem for suffix in suffixes for path in source.glob(f"*{suffix}")}
    usual = [stem for stem in _USUAL if stem in stems]
    if "index" in stems or len(usual) == 1:
        return f"{usual[0]}.handler"
    if len(stems) == 1:
        return f"{stems.pop()}.handler"
    what = "several files could hold the handler" if stems else f"there is no {suffixes[0]} file"
    raise ProjectError(f"{source}: {what}", hint=f'name it with --handler FILE.FUNC, or handler = "…" in {FILE_NAME}')


def check_handler(source: Path, runtime: str, handler: str) -> None:
    """Refuses a handler whose file is not there, before anything is sent."""
    suffixes = _suffixes(runtime)
    if runtime == "go1" and not (source if source.is_file() else source / handler).is_file():
        raise ProjectError(
            f"the handler is {handler!r}, but {source} has no such program",
            hint=f"build it first, for Linux: CGO_ENABLED=0 go build -o {handler} .",
        )
    if not suffixes:
        return
    if source.is_file():
        if source.suffix not in suffixes:
            raise ProjectError(
                f"{source} is no source file of {runtime}",
                hint=f"its name ends with {' or '.join(suffixes)}; --runtime names another language",
            )
        there = handler.rpartition(".")[0] == source.stem
    else:
        there = handler_file(source, handler, suffixes) is not None
    if not there:
        raise ProjectError(
            f"the handler is {handler!r}, but {source} has no such file",
            hint=f"a handler is FILE.FUNCTION, such as index.handler for handler() in index{suffixes[0]}",
        )


def kept_folders(runtime: str) -> frozenset[str]:
    """What belongs to the code though it is left out as a rule: these runtimes install nothing on the node."""
    return frozenset() if runtime.startswith("python") else frozenset({"node_modules"})


def _suffixes(runtime: str) -> tuple[str, ...]:
    """How files that hold a handler end; none for runtimes that run programs."""
    if runtime.startswith("python"):
        return (".py",)
    return (".js", ".mjs", ".cjs") if runtime.startswith("nodejs") else ()


def handler_file(folder: Path, handler: str, suffixes: tuple[str, ...]) -> Path | None:
    """The file that holds `file.func`, `dir/file.func` or `pkg.mod.func`."""
    module = handler.rpartition(".")[0]
    if not module:
        return None
    ends = [end for suffix in suffixes for end in (suffix, f"/index{suffix}" if suffix != ".py" else "/__init__.py")]
    places = (folder / f"{part}{end}" for part in (module, module.replace(".", "/")) for end in ends)
    return next((path for path in places if path.is_file()), None)


def _from_file(path: Path) -> Project:
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as failure:
        raise ProjectError(f"{path} cannot be read: {failure}") from failure
    except tomllib.TOMLDecodeError as failure:
        raise ProjectError(f"{path} is not TOML: {failure}") from failure
    known = Project.__struct_fields__
    for key in table:
        if key not in known:
            raise ProjectError(f"{path}: there is no key {key!r}", hint=nearest(key, known))
    try:
        return msgspec.convert(table, Project)
    except msgspec.ValidationError as failure:
        raise ProjectError(f"{path}: {_kindly(str(failure))}") from failure


def _kindly(message: str) -> str:
    """`memory: expected int, got str`, of msgspec's `Expected `int`, got `str` - at `$.memory``."""
    what, _, where = message.partition(" - at `$.")
    what = what.replace("`", "").replace(" | null", "")
    return f"{where.rstrip('`')}: {what[0].lower()}{what[1:]}" if where else what


def _name_of(source: Path) -> str:
    whole = source.resolve()
    return whole.stem if source.is_file() else whole.name
