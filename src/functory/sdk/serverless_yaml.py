"""`s.yaml`: what the deploy tool Serverless Devs reads, for its components fc3 and fc3-domain.

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

Each resource is a function or a domain. All forms of variables are in `variables`, properties in `serverless_props`.
Also read: `template:` with a resource's `extend:`, an `extend:` of the whole file, and `.env` beside it. What is not
acted on (`actions:`, `flow:`, properties without a meaning here) is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from functory.sdk import serverless_props, yaml_file
from functory.sdk.errors import ProjectError
from functory.sdk.units import DomainWish, Stack, Unit
from functory.sdk.variables import Variables

FILE_NAMES = ("s.yaml", "s.yml")
_EXTENDED_MAX = 5
_NOT_RUN = {
    "actions": "actions are not run: they are commands of the deploy tool",
    "flow": "flow is not followed: resources are deployed in their order",
    "env": "env is not read: environments of the deploy tool are kept elsewhere",
}


def load(path: Path, environ: Mapping[str, str], config: Mapping[str, str] | None = None) -> Stack:
    """The functions and domains of the file, in its order. `ProjectError` names file and place.

    `config`: what `${config(…)}` answers.
    """
    whole = _extended(path, 0)
    resources = whole.get("resources")
    if not isinstance(resources, dict) or not resources:
        raise ProjectError(f"{path}: there is no resource", hint="functions stand under `resources:`")
    resources = {str(name): _templated(path, str(name), one, whole) for name, one in resources.items()}
    roots = {"vars": {}, **whole, "resources": resources}
    variables = Variables(path, roots, {**_dot_env(path.parent), **environ}, config)
    notes = [text for key, text in _NOT_RUN.items() if whole.get(key)]
    units: list[Unit] = []
    domains: list[DomainWish] = []
    for name, given in resources.items():
        filled = variables.fill({"name": name, **given}, {"name": name, **given})
        _take(path, name, filled, units, domains, notes)
    return Stack(units=tuple(units), domains=tuple(domains), notes=tuple(notes))


def _take(
    path: Path, name: str, given: dict[str, Any], units: list[Unit], domains: list[DomainWish], notes: list[str]
) -> None:
    component = str(given.get("component", "")).partition("@")[0].rpartition("/")[2]
    if given.get("actions"):
        notes.append(f"{name}: {_NOT_RUN['actions']}")
    if component == "fc3":
        made, its_domains = serverless_props.unit(path, name, given["props"])
        units.append(made)
        domains.extend(its_domains)
    elif component == "fc3-domain":
        domains.append(serverless_props.domain(path, name, given["props"], notes))
    else:
        raise ProjectError(
            f"{path}: resource {name} is of component {given.get('component')!r}",
            hint="functions are of fc3, domains of fc3-domain",
        )


def _extended(path: Path, depth: int) -> dict[str, Any]:
    """The file over the one that it extends."""
    content = yaml_file.read(path).content
    base = content.get("extend")
    if base is None:
        return content
    if not isinstance(base, str) or depth >= _EXTENDED_MAX:
        raise ProjectError(f"{path}: extend is not the path of another file, or goes round in a circle")
    if not (path.parent / base).is_file():
        raise ProjectError(f"{path}: extend names {base}, which is not there")
    return _merged(_extended(path.parent / base, depth + 1), content)


def _templated(path: Path, name: str, given: Any, whole: Mapping[str, Any]) -> dict[str, Any]:
    """The resource with its properties over those of the template that it extends."""
    if not isinstance(given, dict) or not isinstance(given.get("props"), dict | None):
        raise ProjectError(f"{path}: resource {name} has no `props:`")
    extend = given.get("extend")
    if extend is None:
        if given.get("props") is None:
            raise ProjectError(f"{path}: resource {name} has no `props:`")
        return given
    named = extend.get("name") if isinstance(extend, dict) else None
    templates = whole.get("template")
    template = templates.get(named) if isinstance(templates, dict) else None
    if not isinstance(template, dict):
        raise ProjectError(f"{path}: resource {name} extends {named!r}, which is not under `template:`")
    ignored = extend.get("ignore") or []
    base = {key: value for key, value in template.items() if key not in ignored}
    return {**given, "props": _merged(base, given.get("props") or {})}


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings are joined, everything else is replaced."""
    whole = dict(base)
    for key, value in over.items():
        there = whole.get(key)
        whole[key] = _merged(there, value) if isinstance(there, dict) and isinstance(value, dict) else value
    return whole


def _dot_env(folder: Path) -> dict[str, str]:
    """`KEY=value` lines of `.env`; the real environment comes over them."""
    try:
        lines = (folder / ".env").read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    pairs = (line.strip().removeprefix("export ").partition("=") for line in lines if not line.lstrip().startswith("#"))
    return {key.strip(): value.strip().strip("'\"") for key, mark, value in pairs if mark and key.strip()}
