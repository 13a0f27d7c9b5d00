"""The properties of the component fc3, and what each becomes here.

Every property that fc3 knows is either deployed or named in a note that says why not; one that fc3 does not know is
named too, with the nearest that it does know. What the node itself only keeps and answers (`logConfig`, for one) is
deployed all the same: the node's pages say what it acts on.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from functory.sdk.errors import ProjectError
from functory.sdk.project import Project, ProjectTrigger
from functory.sdk.units import ConfigWish, DomainWish, Unit

SHORT = {
    "runtime": "runtime",
    "handler": "handler",
    "memorySize": "memory",
    "cpu": "cpu",
    "diskSize": "disk",
    "timeout": "timeout",
    "internetAccess": "internet",
    "instanceConcurrency": "concurrency",
    "description": "description",
}
"""Properties, and the words of `Project` for them."""
OFFICIAL = frozenset({
    "customContainerConfig", "customDNS", "customRuntimeConfig", "disableInjectCredentials", "disableOndemand",
    "enableLongLiving", "gpuConfig", "idleTimeout", "instanceIsolationMode", "instanceLifecycleConfig",
    "juiceFsConfig", "logConfig", "microSandboxConfig", "nasConfig", "ossMountConfig", "polarFsConfig",
    "resourceGroupId", "role", "sessionAffinity", "sessionAffinityConfig", "tracingConfig", "vpcConfig",
})  # fmt: skip
"""Properties that are fields of CreateFunction, and sent as they are."""
CONFIGS = {
    "asyncInvokeConfig": "async",
    "concurrencyConfig": "concurrency",
    "provisionConfig": "provision",
    "scalingConfig": "scaling",
}
"""Properties that are configurations around the function."""
READ_APART = frozenset({
    "code", "customDomain", "endpoint", "environmentVariables", "functionName", "layers", "region", "tags", "triggers",
})  # fmt: skip
"""Properties that have a rule of their own below. `endpoint` and `region` say where, which the command line does."""
NOT_DEPLOYED = {
    "annotations": "annotations are for the cloud's own gateway",
    "supplement": "supplement is a note of the component to itself",
    "vpcBinding": "vpcBinding is not deployed: this node has no private clouds to bind",
}
"""Properties that are not deployed, and why."""
KNOWN = frozenset({*SHORT, *OFFICIAL, *CONFIGS, *READ_APART, *NOT_DEPLOYED})
_CREATE_ONLY = ("resourceGroupId",)


def unit(path: Path, name: str, props: Mapping[str, Any]) -> tuple[Unit, tuple[DomainWish, ...]]:
    """One resource of component fc3. `ProjectError` says what is wrong."""
    notes = [*_unknown(props), *(text for key, text in NOT_DEPLOYED.items() if _said(props.get(key)))]
    official = _official(props, notes)
    function = str(props.get("functionName") or name)
    domains = _custom_domain(path, name, function, props, notes)
    known: dict[str, Any] = {ours: props[theirs] for theirs, ours in SHORT.items() if props.get(theirs) is not None}
    known |= {
        "name": function,
        "environment": _environment(path, name, props),
        "layers": props.get("layers"),
        "triggers": [_trigger(path, name, one) for one in props["triggers"]] if props.get("triggers") else None,
        "official": official or None,
    }
    try:
        project = msgspec.convert(known, Project)
    except msgspec.ValidationError as failure:
        raise ProjectError(f"{path}: resource {name}: {failure}") from failure
    made = Unit(
        project=project,
        source=_code(path, name, props, notes),
        configs=tuple(_configs(path, name, props)),
        tags=_tags(path, name, props),
        notes=tuple(notes),
    )
    return made, domains


def _unknown(props: Mapping[str, Any]) -> list[str]:
    notes = []
    for key in props:
        if key not in KNOWN and _said(props[key]):
            near = difflib.get_close_matches(key, sorted(KNOWN), n=1, cutoff=0.6)
            meant = f"; is {near[0]} meant?" if near else ""
            notes.append(f"{key} is not a property of fc3 and not deployed{meant}")
    return notes


def _official(props: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    official = {}
    for key in sorted(OFFICIAL):
        value = props.get(key)
        if value is None:
            continue
        if _is_auto(value):
            notes.append(f"{key}: auto is not deployed: it has the component make resources in the cloud")
            continue
        official[key] = value
    affinity = official.get("sessionAffinityConfig")
    if isinstance(affinity, dict):
        official["sessionAffinityConfig"] = msgspec.json.encode(affinity).decode()  # the API takes a text
    return official


def _is_auto(value: object) -> bool:
    if isinstance(value, str):
        return value.lower() == "auto"
    return isinstance(value, dict) and any(isinstance(one, str) and one.lower() == "auto" for one in value.values())


def _environment(path: Path, name: str, props: Mapping[str, Any]) -> dict[str, str] | None:
    given = props.get("environmentVariables")
    if given is None:
        return None
    if not isinstance(given, dict):
        raise ProjectError(f"{path}: resource {name}: environmentVariables is not a mapping")
    return {str(key): _text(value) for key, value in given.items()}


def _code(path: Path, name: str, props: Mapping[str, Any], notes: list[str]) -> Path | None:
    code = props.get("code")
    if isinstance(code, dict):
        if code.get("ossBucketName"):
            notes.append("code.ossBucketName is not deployed: this node does not read the cloud's buckets")
        code = code.get("src")
    if code is None:
        return None if props.get("customContainerConfig") else path.parent
    if not isinstance(code, str):
        raise ProjectError(f"{path}: the code of resource {name} is not a path")
    return path.parent / code


def _trigger(path: Path, name: str, given: Any) -> ProjectTrigger:
    try:
        return ProjectTrigger(
            name=given["triggerName"],
            type=given["triggerType"],
            config=dict(given.get("triggerConfig") or {}),
            qualifier=given.get("qualifier"),
            description=given.get("description"),
            role=given.get("invocationRole"),
            source=given.get("sourceArn"),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ProjectError(
            f"{path}: resource {name}: a trigger needs triggerName, triggerType and triggerConfig"
        ) from None


def _configs(path: Path, name: str, props: Mapping[str, Any]) -> list[ConfigWish]:
    found = []
    for key, noun in CONFIGS.items():
        given = props.get(key)
        if not _said(given):
            continue
        if not isinstance(given, dict):
            raise ProjectError(f"{path}: resource {name}: {key} is not a mapping")
        fields = {field: value for field, value in given.items() if field != "qualifier"}
        if noun == "provision":
            target = fields.get("defaultTarget", fields.get("target", 0))
            fields |= {"defaultTarget": target, "target": target}
        qualifier = str(given.get("qualifier") or "LATEST")
        found.append(ConfigWish(noun=noun, qualifier=qualifier, fields=fields))
    return found


def _tags(path: Path, name: str, props: Mapping[str, Any]) -> dict[str, str] | None:
    given = props.get("tags")
    if not given:
        return None
    try:
        lower = [{str(key).lower(): value for key, value in tag.items()} for tag in given]
        return {str(tag["key"]): str(tag.get("value", "")) for tag in lower}
    except (KeyError, TypeError, AttributeError):
        raise ProjectError(f"{path}: resource {name}: a tag needs key and value") from None


def _custom_domain(
    path: Path, name: str, function: str, props: Mapping[str, Any], notes: list[str]
) -> tuple[DomainWish, ...]:
    """`customDomain`: a domain of which only the routes of this function are meant."""
    given = props.get("customDomain")
    if not _said(given):
        return ()
    if not isinstance(given, dict) or not isinstance(given.get("route"), dict | list):
        raise ProjectError(f"{path}: resource {name}: customDomain needs domainName, protocol and route")
    if _is_auto(given.get("domainName")):
        notes.append("customDomain: auto is not deployed: it has the component take a name from the cloud")
        return ()
    routes = given["route"] if isinstance(given["route"], list) else [given["route"]]
    listed = [{"path": "/*", "functionName": function, **route} for route in routes]
    return (domain(path, name, {**given, "routeConfig": {"routes": listed}}, notes, share_of=function),)


def domain(path: Path, name: str, props: Mapping[str, Any], notes: list[str], *, share_of: str = "") -> DomainWish:
    """A domain, of the property `customDomain` or of a resource of component fc3-domain."""
    if not isinstance(props.get("domainName"), str):
        raise ProjectError(f"{path}: resource {name}: a custom domain needs domainName")
    if _said(props.get("wafConfig")):
        notes.append("wafConfig is not deployed: this node has no such firewall")
    wanted: dict[str, Any] = {"protocol": str(props.get("protocol") or "HTTP").upper()}
    for key in ("routeConfig", "authConfig", "tlsConfig", "corsConfig"):
        if _said(props.get(key)):
            wanted[key] = props[key]
    certificate = props.get("certConfig")
    if isinstance(certificate, dict) and _said(certificate):
        wanted["certConfig"] = {key: _pem(path, value) for key, value in certificate.items()}
    return DomainWish(name=props["domainName"], fields=wanted, share_of=share_of)


def _pem(path: Path, value: Any) -> str:
    """PEM text, or the content of the file that is named instead."""
    text = str(value)
    file = path.parent / text
    if "\n" in text or "-----" in text or len(text) > 255 or not file.is_file():
        return text
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as failure:
        raise ProjectError(f"{path}: {file} cannot be read: {failure}") from failure


def _said(value: object) -> bool:
    return value not in (None, "", {}, [])


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)
