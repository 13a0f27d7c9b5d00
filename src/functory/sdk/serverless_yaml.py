"""`s.yaml`: what the deploy tool Serverless Devs reads, for its component fc3.

    edition: 3.0.0
    name: shop
    vars:
      region: cn-hangzhou
    resources:
      checkout:
        component: fc3
        props:
          region: ${vars.region}
          functionName: checkout
          runtime: python3.10
          handler: index.handler
          code: ./code
          environmentVariables: {STAGE: "${env('STAGE', 'dev')}"}
          triggers:
            - triggerName: web
              triggerType: http
              triggerConfig: {authType: anonymous, methods: [GET]}

Each resource is a function. Variables: `${env('NAME', 'default')}`, `${vars.…}`, `${this.props.…}`, `${this.name}` and
`${resources.NAME.props.…}`; another one is refused. What is a property of fc3 but nothing that this node acts on is
passed over and told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from functory.sdk.errors import ProjectError
from functory.sdk.project import Project, ProjectTrigger

FILE_NAMES = ("s.yaml", "s.yml")
MAX_BYTES = 1 << 20
_DEPTH = 10
_NODES = 20_000
_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_ENV = re.compile(r"""env\(\s*(?:'([^']+)'|"([^"]+)"|([A-Za-z_]\w*))\s*(?:,\s*(?:'([^']*)'|"([^"]*)"|([^)]*)))?\s*\)""")
_ELSEWHERE = frozenset({"region", "code", "functionName", "triggers", "instanceLifecycleConfig"})
_FIELDS = {
    "runtime": "runtime",
    "handler": "handler",
    "memorySize": "memory",
    "cpu": "cpu",
    "timeout": "timeout",
    "environmentVariables": "environment",
    "instanceConcurrency": "concurrency",
    "description": "description",
}


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One function of the file."""

    project: Project
    source: Path
    """Its code."""
    passed_over: tuple[str, ...] = ()
    """Properties that are not deployed."""


def find(source: Path) -> Path | None:
    """The file that is meant: `source` itself, or the one in the folder unless that has a `functory.toml`."""
    if source.suffix in (".yaml", ".yml") and source.is_file():
        return source
    if (source / "functory.toml").is_file():
        return None
    return next((source / name for name in FILE_NAMES if (source / name).is_file()), None)


def load(path: Path, environ: Mapping[str, str]) -> list[Resource]:
    """The functions of the file, in its order. `ProjectError` names file and place."""
    whole = _read(path)
    resources = whole.get("resources")
    if not isinstance(resources, dict) or not resources:
        raise ProjectError(f"{path}: there is no resource", hint="functions stand under `resources:`")
    variables = _Variables(path, whole, environ)
    return [_resource(path, str(name), one, variables) for name, one in resources.items()]


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ProjectError(f"{path} is larger than {MAX_BYTES} bytes")
        whole = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as failure:
        raise ProjectError(f"{path} cannot be read: {failure}") from failure
    except (yaml.YAMLError, RecursionError, ValueError) as failure:
        raise ProjectError(f"{path} is not YAML: {failure}") from failure
    if not isinstance(whole, dict):
        raise ProjectError(f"{path} is not a mapping")
    return whole


class _Variables:
    """Puts values in the place of `${…}`."""

    def __init__(self, path: Path, whole: dict[str, Any], environ: Mapping[str, str]) -> None:
        self._path = path
        self._whole = whole
        self._environ = environ
        self._left = _NODES

    def fill(self, value: Any, this: dict[str, Any], depth: int = 0) -> Any:
        """The value with all its variables replaced. `this`: the resource it stands in."""
        self._left -= 1
        if depth > _DEPTH * 3 or self._left < 0:
            raise ProjectError(f"{self._path}: variables refer to each other without end, or the file is too large")
        if isinstance(value, dict):
            return {str(key): self.fill(one, this, depth + 1) for key, one in value.items()}
        if isinstance(value, list):
            return [self.fill(one, this, depth + 1) for one in value]
        if not isinstance(value, str):
            return value
        alone = _VARIABLE.fullmatch(value.strip())
        if alone:
            return self.fill(self._value(alone[1].strip(), this), this, depth + 3)
        if not _VARIABLE.search(value):
            return value
        put: Callable[[re.Match[str]], str] = lambda found: str(self._value(found[1].strip(), this))  # noqa: E731
        return self.fill(_VARIABLE.sub(put, value), this, depth + 3)

    def _value(self, expression: str, this: dict[str, Any]) -> Any:
        called = _ENV.fullmatch(expression)
        if called:
            return self._environment(called)
        first, *rest = expression.split(".")
        roots: dict[str, Any] = {
            "vars": self._whole.get("vars", {}),
            "this": this,
            "resources": self._whole["resources"],
        }
        if first not in roots or not rest:
            raise ProjectError(
                f"{self._path}: ${{{expression}}} is not known here",
                hint="known are env(…), vars.…, this.… and resources.…",
            )
        found = roots[first]
        for part in rest:
            if not isinstance(found, dict) or part not in found:
                raise ProjectError(f"{self._path}: ${{{expression}}} leads nowhere")
            found = found[part]
        return found

    def _environment(self, called: re.Match[str]) -> str:
        name = called[1] or called[2] or called[3]
        default = next((group for group in called.groups()[3:] if group is not None), None)
        value = self._environ.get(name, default)
        if value is None:
            raise ProjectError(
                f"{self._path}: the environment has no {name}", hint=f"set it, or say env('{name}', '…')"
            )
        return value


def _resource(path: Path, name: str, given: Any, variables: _Variables) -> Resource:
    if not isinstance(given, dict) or not isinstance(given.get("props"), dict):
        raise ProjectError(f"{path}: resource {name} has no `props:`")
    component = str(given.get("component", ""))
    if component.partition("@")[0] not in ("fc3", "devsapp/fc3"):
        raise ProjectError(f"{path}: resource {name} is of component {component!r}", hint="functions are of fc3")
    props = variables.fill(given["props"], {"name": name, **given})
    code = props.get("code", ".")
    if isinstance(code, dict):
        code = code.get("src", ".")
    if not isinstance(code, str):
        raise ProjectError(f"{path}: the code of resource {name} is not a path")
    known = {**_fields(path, name, props), "name": str(props.get("functionName") or name)}
    try:
        project = msgspec.convert(known, Project)
    except msgspec.ValidationError as failure:
        raise ProjectError(f"{path}: resource {name}: {failure}") from failure
    ignored = [
        key for key in props if key not in _FIELDS and key not in _ELSEWHERE and props[key] not in (None, "", {})
    ]
    return Resource(project=project, source=path.parent / code, passed_over=tuple(sorted(ignored)))


def _fields(path: Path, name: str, props: dict[str, Any]) -> dict[str, Any]:
    fields = {ours: props[theirs] for theirs, ours in _FIELDS.items() if props.get(theirs) is not None}
    if "environment" in fields and isinstance(fields["environment"], dict):
        fields["environment"] = {key: _text(value) for key, value in fields["environment"].items()}
    hooks = props.get("instanceLifecycleConfig")
    for theirs, ours in (("initializer", "initializer"), ("preStop", "pre_stop")):
        hook = hooks.get(theirs) if isinstance(hooks, dict) else None
        if isinstance(hook, dict) and hook.get("handler"):
            fields[ours] = hook["handler"]
    listed = props.get("triggers")
    if listed:
        fields["triggers"] = [_trigger(path, name, one) for one in listed]
    return fields


def _trigger(path: Path, name: str, given: Any) -> ProjectTrigger:
    try:
        return ProjectTrigger(
            name=given["triggerName"],
            type=given["triggerType"],
            config=dict(given.get("triggerConfig") or {}),
            qualifier=given.get("qualifier"),
            description=given.get("description"),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ProjectError(
            f"{path}: resource {name}: a trigger needs triggerName, triggerType and triggerConfig"
        ) from None


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
