"""The plan of a deployment: only what changed is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from functory.sdk import deploy, package
from functory.sdk.functions import CustomRuntime, Function, Hook, Layer, Lifecycle
from functory.sdk.project import Project

PACKAGE = package.Package(data=b"zip", checksum="77", files=1, source_bytes=3)
THERE: dict[str, Any] = {
    "function_name": "shop", "runtime": "python3", "handler": "index.handler", "memory_size": 512, "cpu": 0.35,
    "timeout": 60, "code_checksum": "77", "layers": [],
}  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "index.py").write_text("")
    return tmp_path


def there(**changes: Any) -> Function:
    return Function(**(THERE | changes))


def planned(current: Function | None, source: Path, layer: str = "", **said: Any) -> deploy.Plan:
    return deploy.plan(current, source, Project(name="shop", **said), PACKAGE, layer)


def test_a_new_function_gets_the_defaults(source: Path) -> None:
    plan = planned(None, source)
    assert plan.create
    assert plan.send_code
    assert plan.fields == {
        "runtime": "python3", "handler": "index.handler", "memorySize": 512, "cpu": 0.35, "timeout": 60, "layers": [],
    }  # fmt: skip


def test_what_is_the_same_is_not_sent(source: Path) -> None:
    assert planned(there(), source).nothing


def test_what_is_not_said_keeps_its_value(source: Path) -> None:
    current = there(memory_size=2048, cpu=1.0, timeout=300, environment_variables={"K": "V"})
    assert planned(current, source).nothing


def test_code_is_sent_only_if_its_checksum_differs(source: Path) -> None:
    plan = planned(there(code_checksum="78"), source)
    assert (plan.send_code, plan.fields) == (True, {})


@pytest.mark.parametrize(
    ("said", "fields"),
    [
        ({"timeout": 9}, {"timeout": 9}),
        ({"memory": 4096}, {"memorySize": 4096, "cpu": 1.0}),
        ({"description": "d"}, {"description": "d"}),
        ({"environment": {"A": "1"}}, {"environmentVariables": {"A": "1"}}),
        ({"concurrency": 5}, {"instanceConcurrency": 5}),
        (
            {"initializer": "index.start"},
            {"instanceLifecycleConfig": {"initializer": {"handler": "index.start"}}},
        ),
    ],
)
def test_a_change_sends_that_field_alone(source: Path, said: dict[str, Any], fields: dict[str, Any]) -> None:
    plan = planned(there(), source, **said)
    assert (plan.send_code, plan.fields) == (False, fields)


def test_a_hook_keeps_its_timeout_and_its_sibling(source: Path) -> None:
    both = Lifecycle(initializer=Hook(handler="index.start", timeout=30), pre_stop=Hook(handler="index.stop"))
    assert planned(there(instance_lifecycle_config=both), source, initializer="index.start").nothing
    plan = planned(there(instance_lifecycle_config=both), source, pre_stop="")
    assert plan.fields == {
        "instanceLifecycleConfig": {"initializer": {"handler": "index.start", "timeout": 30}},
    }


def test_the_layer_of_the_requirements_is_bound_and_unbound(source: Path) -> None:
    assert planned(there(), source, layer="arn:1").fields == {"layers": ["arn:1"]}
    bound = there(layers=[Layer(arn="arn:1")])
    assert planned(bound, source, layer="arn:1").nothing
    assert planned(bound, source).fields == {"layers": []}


def test_how_a_custom_function_is_started_is_sent_when_it_changed(source: Path) -> None:
    config = CustomRuntime(command=["python3", "app.py"], args=[], port=0)
    current = there(runtime="custom", custom_runtime_config=config)
    assert planned(current, source, runtime="custom", command=["python3", "app.py"]).nothing
    changed = planned(current, source, runtime="custom", command=["python3", "web.py"])
    assert changed.fields == {"customRuntimeConfig": {"command": ["python3", "web.py"]}}
