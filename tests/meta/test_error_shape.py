"""Every error that can leave the node has one shape, one table and a name that clients know."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.routing import Route

import control_kit as kit
from functory.model import errors
from functory.web import problems

OFFICIAL = {
    "InvalidArgument", "MissingRequiredHeader", "LimitExceeded", "PathNotSupported", "EntityTooLarge", "AccessDenied",
    "SignatureNotMatch", "InvalidAccessKeyID", "FunctionNotFound", "VersionNotFound", "AliasNotFound",
    "TriggerNotFound", "DomainNameNotFound", "FunctionAlreadyExists", "ConcurrentUpdateError", "PreconditionFailed",
    "ResourceExhausted", "InternalServerError", "VersionPublishError", "FunctionNotEmpty", "AliasAlreadyExists",
    "ProvisionConfigExist", "ResidentScalingConfigExists", "AsyncConfigNotExists", "TriggerAlreadyExists",
    "DomainNameAlreadyExists", "InvalidSecurityToken", "InvalidSecurityToken.Expired",
    "StatefulAsyncInvocationNotFound", "StatefulAsyncInvocationAlreadyExists",
}  # fmt: skip
OWN = {
    "NotFound", "RequestNotFound", "ServiceUnavailable", "StorageFull", "StorageCorrupt",
    "FunctionNotReady",
    "FunctionInvocationDisabled", "ConcurrencyConfigNotFound", "ProvisionConfigNotFound", "ScalingConfigNotFound",
    "VpcNotFound", "VpcAlreadyExists", "VpcInUse",
    "LayerNotFound", "LayerVersionNotFound", "KeyNotFound", "AccountNotFound", "VersionInUse", "LastKey",
    "StatefulAsyncInvocationEnded",
    "MethodNotAllowed", "RoleNotFound", "RoleAlreadyExists",
}  # fmt: skip
"""Codes for what the official API has no word for."""


def _name(cls: type[errors.FunctoryError]) -> str:
    return cls.__name__


def _tree() -> Iterator[type[errors.FunctoryError]]:
    pending: list[type[errors.FunctoryError]] = [errors.FunctoryError]
    while pending:
        cls = pending.pop()
        pending += cls.__subclasses__()
        if cls.__module__ == errors.__name__:
            yield cls


CLASSES = sorted(_tree(), key=_name)
"""Every class of the error tree that the model draws."""


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_is_one_sentence_with_a_known_code(cls: type[errors.FunctoryError]) -> None:
    assert cls.code in OFFICIAL | OWN, f"{cls.code} is neither official nor declared as our own"
    assert cls.__doc__
    assert cls.__doc__.strip().endswith("."), f"the docstring of {cls.__name__} is the default message"


@pytest.mark.parametrize("cls", CLASSES)
def test_a_status_says_whose_turn_it_is(cls: type[errors.FunctoryError]) -> None:
    status = problems.status_of(cls("x"))
    if issubclass(cls, errors.SystemFault) or cls is errors.FunctoryError:
        assert status in (500, 503)
    else:
        assert 400 <= status < 500


def test_the_drawing_at_the_head_of_the_tree_names_every_class() -> None:
    drawn = set(re.findall(r"\b[A-Z][A-Za-z]+\b", errors.__doc__ or ""))
    assert {cls.__name__ for cls in CLASSES} <= drawn


def test_only_problems_and_the_last_resorts_of_the_gateway_write_an_error_body(root: Path) -> None:
    """A second place that makes error bodies would drift from the first."""
    last_resorts = {"gateway/connection.py", "gateway/asgi.py"}
    source = root / "src" / "functory"
    for path in source.rglob("*.py"):
        name = str(path.relative_to(source))
        if name.split("/")[0] in {"sdk", "cli", "testing", "web"} or name in last_resorts:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
                written = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
                assert '"RequestId":' not in written, f"{name}:{node.lineno} writes an error body of its own"


async def test_every_route_refuses_the_unsigned_in_the_one_shape_but_for_the_open_ones() -> None:
    control = kit.Control()
    await control.store.start()
    routes = [route for route in control.app.routes if isinstance(route, Route)]
    assert len(routes) > 15
    opened = set()
    async with control.client:
        for route in routes:
            path = route.path.replace("{functionName}", "echo").replace("{requestId}", "x").replace("{file}", "x.zip")
            for method in (route.methods or set()) - {"HEAD"}:
                response = await control.call(method, path, key=None)
                if response.status_code == 200:
                    opened.add(path)
                    continue
                _, code, _ = kit.problem_of(response)
                assert code == "MissingRequiredHeader" or path.startswith("/functory/v1/code/"), (method, path, code)
    assert opened == {"/healthz"}
