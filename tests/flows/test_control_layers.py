"""Uploaded layers through the control API."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

import control_kit as kit
from control_kit import problem_of

TOOLS = "/2023-03-30/layers/tools/versions"
ZIP = kit.zip_of(**{"python/tool.py": "NAME = 'tool'\n"})
BODY: dict[str, Any] = {
    "code": {"zipFile": kit.b64(ZIP)},
    "compatibleRuntime": ["python3.10"],
    "description": "tools",
    "license": "MIT",
}


def arn(name: str, number: int) -> str:
    return f"acs:fc:local:{kit.ACCOUNT}:layers/{name}/versions/{number}"


async def test_a_layer_version_is_stored_and_its_archive_can_be_fetched(control: kit.Control) -> None:
    made = (await control.call("POST", TOOLS, json=BODY)).json()
    assert (made["layerName"], made["version"], made["layerVersionArn"]) == ("tools", 1, arn("tools", 1))
    assert (made["compatibleRuntime"], made["license"], made["codeSize"]) == (["python3.10"], "MIT", len(ZIP))
    location = made["code"]["location"].removeprefix(f"http://{kit.HOST}")
    assert (await control.client.get(location)).content == ZIP
    one = (await control.call("GET", f"{TOOLS}/1")).json()
    assert {**one, "code": ""} == {**made, "code": ""}
    named = await control.call("GET", f"/2023-03-30/layerarn/{quote(arn('tools', 1), safe='')}")
    assert named.json()["codeChecksum"] == made["codeChecksum"]


async def test_numbers_go_on_and_lists_begin_with_the_newest(control: kit.Control) -> None:
    for _ in range(3):
        await control.call("POST", TOOLS, json=BODY)
    assert (await control.call("DELETE", f"{TOOLS}/3")).status_code == 204
    assert (await control.call("POST", TOOLS, json=BODY)).json()["version"] == 4
    await control.call("POST", "/2023-03-30/layers/deps/versions", json=BODY)
    page = (await control.call("GET", TOOLS, query=[("limit", "2")])).json()
    assert ([one["version"] for one in page["layers"]], page["nextVersion"]) == ([4, 2], 1)
    rest = (await control.call("GET", TOOLS, query=[("startVersion", "1")])).json()
    assert [one["version"] for one in rest["layers"]] == [1]
    first = (await control.call("GET", "/2023-03-30/layers", query=[("limit", "1")])).json()
    second = (await control.call("GET", "/2023-03-30/layers", query=[("nextToken", first["nextToken"])])).json()
    newest = [(one["layerName"], one["version"]) for one in [*first["layers"], *second["layers"]]]
    assert newest == [("deps", 1), ("tools", 4)]
    public = await control.call("GET", "/2023-03-30/layers", query=[("public", "true")])
    assert public.json() == {"layers": []}


async def test_a_function_uses_layers_in_their_order_and_keeps_a_deleted_one(control: kit.Control) -> None:
    await control.call("POST", TOOLS, json=BODY)
    await control.call("POST", "/2023-03-30/layers/deps/versions", json=BODY)
    wanted = [arn("tools", 1), arn("deps", 1)]
    made = (await control.create(layers=wanted)).json()
    assert [one["arn"] for one in made["layers"]] == wanted
    assert control.changed[-1].layers[0].archive
    await control.call("DELETE", f"{TOOLS}/1")
    echo = "/2023-03-30/functions/echo"
    kept = await control.call("PUT", echo, json={"layers": list(reversed(wanted))})
    assert [one["arn"] for one in kept.json()["layers"]] == list(reversed(wanted))
    status, code, message = problem_of(await control.create("other", layers=wanted))
    assert (status, code) == (400, "InvalidArgument")
    assert "does not exist" in message


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", f"{TOOLS}/1", None, 404, "LayerNotFound"),
        ("GET", f"{TOOLS}/x", None, 400, "InvalidArgument"),
        ("DELETE", f"{TOOLS}/7", None, 404, "LayerNotFound"),
        ("GET", "/2023-03-30/layerarn/nonsense", None, 404, "LayerNotFound"),
        ("POST", TOOLS, {}, 400, "InvalidArgument"),
        ("POST", TOOLS, {"code": {"zipFile": kit.b64(b"no zip")}}, 400, "InvalidArgument"),
        ("POST", "/2023-03-30/layers/1tools/versions", BODY, 400, "InvalidArgument"),
        ("POST", TOOLS, BODY | {"description": "x" * 300}, 400, "InvalidArgument"),
    ],
)
async def test_a_layer_that_cannot_be_is_refused(
    control: kit.Control, method: str, path: str, body: object, status: int, code: str
) -> None:
    assert problem_of(await control.call(method, path, json=body))[:2] == (status, code)


async def test_another_accounts_layers_are_not_there(control: kit.Control) -> None:
    await control.call("POST", TOOLS, json=BODY)
    for path in (f"{TOOLS}/1", f"/2023-03-30/layerarn/{quote(arn('tools', 1), safe='')}"):
        assert problem_of(await control.call("GET", path, key=kit.STRANGER))[:2] == (404, "LayerNotFound")
    answer = await control.call("GET", "/2023-03-30/layers", key=kit.STRANGER)
    assert answer.json() == {"layers": []}
