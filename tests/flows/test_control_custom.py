"""How a custom runtime is started: `customRuntimeConfig`, checked, kept as given, and acted on."""

from __future__ import annotations

from typing import Any

import pytest

import control_kit as kit
from functory.model.function import Custom, HealthCheck

CONFIG = {
    "command": ["python3", "app.py"],
    "args": ["--quiet"],
    "port": 8080,
    "healthCheckConfig": {"httpGetUrl": "/health", "periodSeconds": 5},
}
MEANT = Custom(
    command=("python3", "app.py"), args=("--quiet",), port=8080, health=HealthCheck(path="/health", period_s=5)
)


async def _create(control: kit.Control, **fields: Any) -> dict[str, Any]:
    response = await control.create(**{"runtime": "custom", **fields})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_it_is_answered_as_given_and_known_to_the_node(control: kit.Control) -> None:
    answer = await _create(control, customRuntimeConfig=CONFIG)
    assert answer["customRuntimeConfig"] == CONFIG
    assert "without effect" not in answer["stateReason"]
    assert control.changed[-1].custom == MEANT


async def test_an_update_that_does_not_name_it_keeps_it_and_another_runtime_drops_its_effect(
    control: kit.Control,
) -> None:
    answer = await _create(control, customRuntimeConfig=CONFIG)
    path = f"/2023-03-30/functions/{answer['functionName']}"
    await control.call("PUT", path, json={"timeout": 9})
    changed = (await control.call("PUT", path, json={"runtime": "python3"})).json()
    assert [one.custom for one in control.changed[1:]] == [MEANT, None]
    assert "without effect on this node: customRuntimeConfig" in changed["stateReason"]


async def test_a_custom_function_that_says_nothing_has_the_defaults(control: kit.Control) -> None:
    await _create(control, customRuntimeConfig={"command": [], "args": [], "port": 0, "healthCheckConfig": {}})
    assert control.changed[-1].custom == Custom()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"port": 70_000}, "customRuntimeConfig.port 70000"),
        ({"command": ["", "x"]}, "begins with an empty word"),
        ({"args": ["a\0b"]}, "no NUL"),
        ({"command": ["x"] * 300}, "at most 256 words"),
        ({"healthCheckConfig": {"httpGetUrl": "/a b"}}, "httpGetUrl '/a b' is not valid"),
        ({"healthCheckConfig": {"httpGetUrl": "/a", "timeoutSeconds": 9}}, "timeoutSeconds 9"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_what_cannot_be_meant_is_refused_by_name(
    control: kit.Control, config: dict[str, Any], words: str
) -> None:
    status, code, message = kit.problem_of(await control.create(runtime="custom", customRuntimeConfig=config))
    assert (status, code) == (400, "InvalidArgument")
    assert words in message


async def test_handlers_have_the_form_of_their_runtime(control: kit.Control) -> None:
    assert (await control.create(runtime="custom", handler="anything goes")).status_code == 200
    _, _, message = kit.problem_of(await control.create("g", runtime="python3", handler="index"))
    assert "file.function" in message
