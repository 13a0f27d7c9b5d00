"""`custom-container`: what is checked, what is kept, and what state a function is in until its image is here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import structs

import control_kit as kit
from functory.invoke.route import Routes
from functory.model import errors
from functory.model.function import Custom, Function, HealthCheck, ImageState

IMAGE = "registry.example.com/app:1"
CONFIG = {
    "image": IMAGE,
    "entrypoint": ["/app"],
    "command": ["--quiet"],
    "port": 8080,
    "healthCheckConfig": {"httpGetUrl": "/health"},
}
PATH = "/2023-03-30/functions/box"


@pytest.fixture
async def control() -> AsyncIterator[kit.Control]:
    """A control API in memory."""
    made = kit.Control()
    await made.store.start()
    async with made.client:
        yield made


async def _create(control: kit.Control, **config: Any) -> dict[str, Any]:
    body = {"functionName": "box", "runtime": "custom-container", "customContainerConfig": {**CONFIG, **config}}
    response = await control.call("POST", "/2023-03-30/functions", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def _settle(control: kit.Control, state: ImageState, reason: str = "") -> Function:
    """As the node writes how it went."""
    current = await control.store.functions.get(control.changed[-1].account_id, "box")
    assert current.image is not None
    image = structs.replace(current.image, state=state, digest="sha256:1", resolved="r@sha256:1", reason=reason)
    standing = None if state is ImageState.READY else current.standing
    after = structs.replace(current, epoch=current.epoch + 1, image=image, standing=standing)
    await control.store.functions.replace(after)
    return after


def _states(answer: dict[str, Any]) -> tuple[str, str]:
    return answer["state"], answer["lastUpdateStatus"]


async def test_a_new_function_is_pending_until_its_image_is_here(control: kit.Control) -> None:
    answer = await _create(control)
    assert _states(answer) == ("Pending", "InProgress")
    assert answer["customContainerConfig"] == CONFIG
    assert answer["handler"] == "index.handler"
    made = control.changed[-1]
    assert made.runs is None
    assert made.custom == Custom(command=("/app",), args=("--quiet",), port=8080, health=HealthCheck(path="/health"))
    await _settle(control, ImageState.READY)
    ready = (await control.call("GET", PATH)).json()
    assert _states(ready) == ("Active", "Successful")
    assert ready["customContainerConfig"]["resolvedImageUri"] == "r@sha256:1"


async def test_an_image_that_cannot_be_had_says_why(control: kit.Control) -> None:
    await _create(control)
    await _settle(control, ImageState.FAILED, "there is no image")
    failed = (await control.call("GET", PATH)).json()
    assert _states(failed) == ("Failed", "Failed")
    assert failed["stateReason"] == failed["lastUpdateStatusReason"] == "there is no image"


async def test_calls_go_to_the_revision_before_while_an_update_is_under_way_and_if_it_fails(
    control: kit.Control,
) -> None:
    await _create(control)
    before = await _settle(control, ImageState.READY)
    body = {"customContainerConfig": {"image": "registry.example.com/app:2"}, "timeout": 9}
    answer = (await control.call("PUT", PATH, json=body)).json()
    assert _states(answer) == ("Active", "InProgress")
    assert control.changed[-1].runs == before
    changed = (await control.call("PUT", PATH, json={"description": "meanwhile"})).json()
    assert _states(changed) == ("Active", "InProgress")
    assert control.changed[-1].runs == before
    await _settle(control, ImageState.FAILED, "no")
    assert _states((await control.call("GET", PATH)).json()) == ("Active", "Failed")
    assert (await control.store.functions.get(before.account_id, "box")).runs == before


async def test_disabling_it_disables_what_calls_go_to(control: kit.Control) -> None:
    await _create(control)
    await _settle(control, ImageState.READY)
    await control.call("PUT", PATH, json={"customContainerConfig": {"image": "registry.example.com/app:2"}})
    assert (await control.call("POST", f"{PATH}/invoke/disable", json={"reason": "stop"})).status_code == 200
    runs = control.changed[-1].runs
    assert runs is not None
    assert runs.restriction is not None
    routes = Routes()
    routes.put(control.changed[-1])
    with pytest.raises(errors.InvocationDisabled, match="stop"):
        routes.find(runs.account_id, "box")


async def test_an_update_that_does_not_name_it_leaves_the_image_alone(control: kit.Control) -> None:
    await _create(control)
    ready = await _settle(control, ImageState.READY)
    await control.call("PUT", PATH, json={"timeout": 9})
    assert control.changed[-1].image == ready.image
    assert control.changed[-1].runs is control.changed[-1]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"customContainerConfig": {}}, "image is missing"),
        ({"code": {"zipFile": "UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA=="}}, "code cannot be given"),
        ({"customContainerConfig": {"image": IMAGE, "port": 70000}}, "port"),
        ({"customContainerConfig": {"image": IMAGE, "accelerationType": "Warp"}}, "accelerationType"),
        (
            {"customContainerConfig": {"image": IMAGE, "registryConfig": {"certConfig": {"rootCaCertBase64": "?"}}}},
            "base64",
        ),
    ],
)
async def test_what_cannot_be_meant_is_refused(control: kit.Control, body: dict[str, Any], word: str) -> None:
    whole = {"functionName": "box", "runtime": "custom-container", "customContainerConfig": CONFIG, **body}
    response = await control.call("POST", "/2023-03-30/functions", json=whole)
    assert response.status_code == 400
    assert word in response.json()["Message"]


async def test_a_password_is_sealed_and_told_to_nobody(control: kit.Control) -> None:
    registry = {"authConfig": {"userName": "ada", "password": "s3cret"}}
    answer = await _create(control, registryConfig=registry)
    assert answer["customContainerConfig"]["registryConfig"] == {"authConfig": {"userName": "ada"}}
    kept = control.changed[-1].official["customContainerConfig"]["registryConfig"]["authConfig"]
    assert kept == {"userName": "ada", "password": kit.sealed("s3cret")}
    again = {"image": IMAGE, "registryConfig": {"authConfig": {"userName": "ada"}}}
    await control.call("PUT", PATH, json={"customContainerConfig": again})
    after = control.changed[-1].official["customContainerConfig"]["registryConfig"]["authConfig"]
    assert after == kept, "who sends back what he was told keeps the password"
    other = {"image": IMAGE, "registryConfig": {"authConfig": {"userName": "eve"}}}
    await control.call("PUT", PATH, json={"customContainerConfig": other})
    assert "password" not in control.changed[-1].official["customContainerConfig"]["registryConfig"]["authConfig"]


async def test_a_version_is_published_only_of_what_can_run(control: kit.Control) -> None:
    await _create(control)
    refused = await control.call("POST", f"{PATH}/versions", json={})
    assert (refused.status_code, refused.json()["Code"]) == (409, "FunctionNotReady")
    await _settle(control, ImageState.READY)
    assert (await control.call("POST", f"{PATH}/versions", json={})).status_code == 200
    answer = (await control.call("GET", PATH, query=[("qualifier", "1")])).json()
    assert _states(answer) == ("Active", "Successful")


async def test_it_has_no_code_and_cannot_become_code_without_any(control: kit.Control) -> None:
    await _create(control)
    assert (await control.call("GET", f"{PATH}/code")).status_code == 400
    refused = await control.call("PUT", PATH, json={"runtime": "python3", "handler": "index.handler"})
    assert refused.status_code == 400
    assert "code is missing" in refused.json()["Message"]


async def test_calls_before_it_is_active_are_refused_with_its_state(control: kit.Control) -> None:
    await _create(control)
    pending = control.changed[-1]
    routes = Routes()
    routes.put(pending)
    with pytest.raises(errors.FunctionNotReady, match="Pending"):
        routes.find(pending.account_id, "box")
    ready = await _settle(control, ImageState.READY)
    routes.put(ready)
    assert routes.find(ready.account_id, "box") is ready
    await control.call("PUT", PATH, json={"customContainerConfig": {"image": "registry.example.com/app:2"}})
    routes.put(control.changed[-1])
    assert routes.find(ready.account_id, "box") is ready
