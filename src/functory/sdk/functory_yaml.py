"""`functory.yaml`: functions, and all that belongs to them, in one file. `docs/deploy.md` shows every field.

    functions:
      hello:
        code: .

is a whole one. Values may hold variables: `${env.STAGE:-dev}`, `${vars.…}`, see `variables`. Every error names the
file, the line, the way to the value and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from functory.sdk import domain_fields, yaml_file
from functory.sdk import functory_fields as fields
from functory.sdk.errors import nearest
from functory.sdk.project import Project, ProjectTrigger
from functory.sdk.units import NEWEST, AliasWish, ConfigWish, DomainWish, LayerWish, Stack, Unit
from functory.sdk.variables import Variables
from functory.sdk.yaml_file import Where, YamlFile

FILE_NAMES = ("functory.yaml", "functory.yml")
IMAGE = "custom-container"
LATEST = "LATEST"
T = TypeVar("T", bound=fields.Fields)


def load(path: Path, environ: Mapping[str, str]) -> Stack:
    """What the file asks for. `ProjectError` says what is wrong, and where."""
    return _Reader(yaml_file.read(path), environ).stack()


class _Reader:
    """Turns the file into wishes; knows where it is."""

    def __init__(self, file: YamlFile, environ: Mapping[str, str]) -> None:
        self._file = file
        self._folder = file.path.parent
        top = self._typed(file.content, fields.Top, ())
        variables = Variables(file.path, {"vars": top.vars or {}}, environ)
        self._top = msgspec.structs.replace(
            top,
            functions=variables.fill(top.functions),
            layers=variables.fill(top.layers),
            domains=variables.fill(top.domains),
        )

    def stack(self) -> Stack:
        """All of it."""
        top = self._top
        if not (top.functions or top.layers or top.domains):
            raise self._file.wrong((), "there is nothing to deploy", "functions stand under `functions:`")
        return Stack(
            units=tuple(self._unit(name, given) for name, given in (top.functions or {}).items()),
            layers=tuple(self._layer(name, given) for name, given in (top.layers or {}).items()),
            domains=tuple(self._domain(name, given) for name, given in (top.domains or {}).items()),
        )

    def _unit(self, name: str, given: Any) -> Unit:
        where: Where = ("functions", name)
        said = self._typed(given or {}, fields.Function, where)
        source = None if said.image else self._source(name, said, where)
        if said.image and said.code:
            raise self._file.wrong((*where, "image"), "a function has code or an image, not both", "remove one")
        publish = "" if said.publish is True else said.publish if isinstance(said.publish, str) else None
        wishes = [self._alias(alias, one, (*where, "aliases", alias)) for alias, one in (said.aliases or {}).items()]
        return Unit(
            project=self._project(name, said, where),
            source=source,
            requirements=self._beside(said.requirements, (*where, "requirements")) if said.requirements else None,
            publish=publish,
            aliases=tuple(wish for wish, _ in wishes),
            configs=(*_configs(LATEST, said), *(config for _, configs in wishes for config in configs)),
            tags=None if said.tags is None else {key: _text(value) for key, value in said.tags.items()},
        )

    def _project(self, name: str, said: fields.Function, where: Where) -> Project:
        triggers = None
        if said.triggers is not None:
            triggers = [self._trigger(key, one, (*where, "triggers", key)) for key, one in said.triggers.items()]
        official = dict(said.official or {})
        if said.image:
            container = {"image": said.image, "command": said.command, "entrypoint": said.entrypoint, "port": said.port}
            official["customContainerConfig"] = {key: one for key, one in container.items() if one is not None}
        return Project(
            name=name,
            runtime=said.runtime or (IMAGE if said.image else None),
            handler=said.handler,
            memory=said.memory,
            cpu=said.cpu,
            disk=said.disk,
            timeout=said.timeout,
            internet=said.internet,
            layers=said.layers,
            environment=None if said.env is None else {key: _text(value) for key, value in said.env.items()},
            concurrency=said.concurrency,
            initializer=said.initializer,
            pre_stop=said.pre_stop,
            description=said.description,
            command=None if said.image else said.command,
            args=said.args,
            port=None if said.image else said.port,
            role=said.role,
            triggers=triggers,
            official=official or None,
        )

    def _source(self, name: str, said: fields.Function, where: Where) -> Path:
        if said.code is not None:
            return self._beside(said.code, (*where, "code"))
        return self._folder / name if (self._folder / name).exists() else self._folder

    def _trigger(self, name: str, given: Any, where: Where) -> ProjectTrigger:
        said = self._typed(given, fields.Trigger, where)
        return ProjectTrigger(name=name, **msgspec.structs.asdict(said))

    def _alias(self, name: str, given: Any, where: Where) -> tuple[AliasWish, tuple[ConfigWish, ...]]:
        short = given is None or isinstance(given, str | int)
        said = self._typed({"version": given or NEWEST} if short else given, fields.Alias, where)
        wish = AliasWish(name=name, version=str(said.version), weights=said.weights, description=said.description)
        return wish, _configs(name, said)

    def _layer(self, name: str, given: Any) -> LayerWish:
        where: Where = ("layers", name)
        said = self._typed(given, fields.Layer, where)
        return LayerWish(
            name=name,
            source=self._beside(said.code, (*where, "code")),
            runtimes=said.runtimes,
            description=said.description,
            license=said.license,
        )

    def _domain(self, name: str, given: Any) -> DomainWish:
        where: Where = ("domains", name)
        said = self._typed(given, domain_fields.Domain, where)
        wanted = domain_fields.official(said)
        if said.certificate is not None:
            wanted["certConfig"] = {
                "certName": said.certificate.name,
                "certificate": self._text_of(said.certificate.cert, (*where, "certificate", "cert")),
                "privateKey": self._text_of(said.certificate.key, (*where, "certificate", "key")),
            }
        return DomainWish(name=name, fields=wanted)

    def _typed(self, given: Any, kind: type[T], where: Where) -> T:
        if not isinstance(given, dict):
            names = ", ".join(_names(kind)[:4])
            raise self._file.wrong(where, f"expected a mapping, got {_kind(given)}", f"it holds {names}, …")
        self._check_names(given, kind, where)
        try:
            return msgspec.convert(given, kind, str_keys=True)
        except msgspec.ValidationError as failure:
            what, _, way = str(failure).partition(" - at `$")
            inner = tuple(part for part in way.rstrip("`").replace("[", ".").replace("]", "").split(".") if part)
            place = (*where, *(int(part) if part.isdigit() else part for part in inner))
            what = what.replace("`", "").replace(" | null", "")
            raise self._file.wrong(place, what[:1].lower() + what[1:], "docs/deploy.md lists the fields") from None

    def _check_names(self, given: Mapping[str, Any], kind: type[fields.Fields], where: Where) -> None:
        known = _names(kind)
        for name in given:
            if name not in known:
                raise self._file.wrong((*where, str(name)), "there is no such field", nearest(str(name), known))

    def _beside(self, name: str, where: Where) -> Path:
        path = self._folder / name
        if not path.exists():
            raise self._file.wrong(where, f"{path} is not there", "paths are counted from the folder of this file")
        return path

    def _text_of(self, name: str, where: Where) -> str:
        try:
            return self._beside(name, where).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as failure:
            raise self._file.wrong(where, f"{name} cannot be read: {failure}") from failure


def _configs(qualifier: str, said: fields.Function | fields.Alias) -> tuple[ConfigWish, ...]:
    found: dict[str, dict[str, Any]] = {}
    if said.async_ is not None:
        to = {"onSuccess": said.async_.on_success, "onFailure": said.async_.on_failure}
        found["async"] = {
            "asyncTask": said.async_.task,
            "maxAsyncRetryAttempts": said.async_.retries,
            "maxAsyncEventAgeInSeconds": said.async_.max_age,
            "destinationConfig": {on: {"destination": who} for on, who in to.items() if who},
        }
    if isinstance(said, fields.Function) and said.reserved_concurrency is not None:
        found["concurrency"] = {"reservedConcurrency": said.reserved_concurrency}
    if said.provision is not None:
        found["provision"] = _provision(said.provision)
    if said.scaling is not None:
        found["scaling"] = {
            **(said.scaling.official or {}),
            "minInstances": said.scaling.min,
            "scheduledPolicies": [_scheduled(one) for one in said.scaling.schedule],
        }
    return tuple(ConfigWish(noun=noun, qualifier=qualifier, fields=one) for noun, one in found.items())


def _provision(said: int | fields.Provision) -> dict[str, Any]:
    whole = fields.Provision(target=said) if isinstance(said, int) else said
    return {
        "target": whole.target,
        "defaultTarget": whole.target,
        "alwaysAllocateCPU": whole.always_cpu,
        "scheduledActions": [_scheduled(one) for one in whole.schedule],
        "targetTrackingPolicies": [fields.without_none(fields.renamed(one, _TRACKING)) for one in whole.tracking],
    }


_TRACKING = {
    "name": "name",
    "metric": "metricType",
    "goal": "metricTarget",
    "min": "minCapacity",
    "max": "maxCapacity",
    "start": "startTime",
    "end": "endTime",
    "zone": "timeZone",
}
_SCHEDULED = {
    "name": "name",
    "at": "scheduleExpression",
    "target": "target",
    "start": "startTime",
    "end": "endTime",
    "zone": "timeZone",
}
"""Our words, and the API's."""


def _scheduled(one: fields.Scheduled) -> dict[str, Any]:
    return fields.without_none(fields.renamed(one, _SCHEDULED))


def _names(kind: type[fields.Fields]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(kind)]


def _kind(value: object) -> str:
    return {list: "a list", str: "a text", int: "a number", float: "a number", bool: "yes or no"}.get(
        type(value), "nothing"
    )


def _text(value: object) -> str:
    if isinstance(value, dict | list):
        return msgspec.json.encode(value).decode()
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
