"""Every field of a function: what is allowed, and how it is said when it is not."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

import control_kit as kit
from control_kit import problem_of
from functory.control.fc import inputs

ALL = "/2023-03-30/functions"
ECHO = f"{ALL}/echo"


REFUSED: list[tuple[str, object, str]] = [
    ("functionName", "1abc", "functionName '1abc' is not valid"),
    ("functionName", "a" * 65, "1-64 letters"),
    ("functionName", 7, "$.functionName"),
    ("functionName", ..., "functionName"),
    ("runtime", "cobol", "runtime 'cobol' is not supported"),
    ("runtime", "x" * 65, "runtime has 65 characters"),
    ("runtime", ..., "runtime"),
    ("handler", ..., "handler"),
    ("handler", "", "handler is not valid"),
    ("handler", "handler", "must be file.function"),
    ("handler", "a b.c", "must be file.function"),
    ("handler", "../x.c", "must be file.function"),
    ("handler", "x." + "a" * 300, "1 to 256 characters"),
    ("cpu", 0, "a multiple of 0.05 from 0.05 to 16"),
    ("cpu", 0.33, "cpu 0.33 is not valid"),
    ("cpu", -0.05, "cpu -0.05"),
    ("cpu", 16.05, "cpu 16.05"),
    ("cpu", 1e300, "cpu 1e+300"),
    ("cpu", "1", "Expected `float | null`, got `str` - at `$.cpu`"),
    ("memorySize", 64, "a multiple of 64 from 128 to 32768"),
    ("memorySize", 500, "memorySize 500"),
    ("memorySize", 32832, "memorySize 32832"),
    ("memorySize", True, "$.memorySize"),
    ("memorySize", 10**30, "memorySize 1000000"),
    ("memorySize", [], "$.memorySize"),
    ("diskSize", 1024, "diskSize 1024 is not valid: 512 or 10240"),
    ("timeout", 0, "timeout 0 is not valid: 1 to 86400"),
    ("timeout", 86401, "timeout 86401"),
    ("timeout", 1.5, "$.timeout"),
    ("instanceConcurrency", 0, "1 to 200"),
    ("instanceConcurrency", 201, "instanceConcurrency 201"),
    ("idleTimeout", -1, "idleTimeout -1"),
    ("description", "x" * 257, "description has 257 characters"),
    ("environmentVariables", {"1A": "x"}, "'1A' is not a name"),
    ("environmentVariables", {"A-B": "x"}, "'A-B' is not a name"),
    ("environmentVariables", {"FC_X": "x"}, "reserved"),
    ("environmentVariables", {"A": "x\0"}, "NUL"),
    ("environmentVariables", {"A": "x" * 4096}, "4097 bytes in names and values; 4096 are allowed"),
    ("environmentVariables", {"A": 1}, "$.environmentVariables[...]"),
    ("tags", [{"Key": f"k{n}", "Value": ""} for n in range(21)], "21 are given; 20 are allowed"),
    ("tags", [{"Key": "k"}, {"Key": "k"}], "given twice"),
    ("tags", [{"Key": ""}], "Key"),
    ("tags", [{"Value": "v"}], "Key"),
    ("layers", "a", "$.layers"),
    ("instanceLifecycleConfig", {"initializer": {"handler": "x"}}, "initializer.handler 'x' is not valid"),
    ("instanceLifecycleConfig", {"initializer": {"handler": "a.b", "timeout": 301}}, "initializer.timeout 301"),
    ("instanceLifecycleConfig", {"preStop": {"handler": "a.b", "timeout": -1}}, "preStop.timeout -1"),
    ("instanceLifecycleConfig", {"preStop": {"command": ["x"]}}, "preStop.command is not supported"),
    ("vpcConfig", {"vSwitchIds": "x"}, "$.vpcConfig.vSwitchIds"),
    ("nasConfig", {"mountPoints": [{"enableTLS": 1}]}, "$.nasConfig.mountPoints[0].enableTLS"),
    ("customDNS", {"searches": [1]}, "$.customDNS.searches[0]"),
    ("sessionAffinityConfig", {"a": 1}, "$.sessionAffinityConfig"),
    ("role", "x" * 70_000, "the configuration beside the code has"),
    ("code", ..., "code is missing"),
    ("code", {}, "code is missing"),
    ("code", {"zipFile": ""}, "code is missing"),
    ("code", {"zipFile": None}, "code is missing"),
    ("code", {"zipFile": 7}, "$.code.zipFile"),
    ("code", {"zipFile": ["UEs="]}, "$.code.zipFile"),
    ("code", {"zipFile": "UEs=UEs="}, "not base64"),
    ("code", {"zipFile": "UEs"}, "not base64"),
    ("code", {"zipFile": "UE s="}, "not base64"),
    ("code", {"zipFile": "UEsü"}, "not base64"),
    ("code", {"zipFile": "UE\\u0000"}, "not base64"),
    ("code", {"zipFile": kit.b64(b"not a zip")}, "not a zip"),
    ("code", {"zipFile": kit.b64(kit.ECHO_ZIP), "checksum": "12"}, "checksum 12 is not that"),
    ("code", {"zipFile": kit.b64(kit.ECHO_ZIP), "checksum": "x"}, "a decimal number"),
    ("code", {"ossBucketName": "b", "ossObjectName": "o"}, "send the zip in code.zipFile"),
    ("code", {"ossBucketName": "b", "ossObjectName": "o", "zipFile": "UEs="}, "not supported by this node yet"),
]


@pytest.mark.parametrize(("field", "value", "said"), REFUSED, ids=lambda value: repr(value)[:40])
async def test_a_value_over_a_limit_is_refused_by_name_and_nothing_is_made(
    control: kit.Control, field: str, value: object, said: str
) -> None:
    response = await control.create(**{"name" if field == "functionName" else field: value})  # type: ignore[arg-type]
    status, code, message = problem_of(response)
    assert (status, code) == (400, "InvalidArgument")
    assert said in message
    assert control.changed == []
    assert control.code.archives == {}


@pytest.mark.parametrize(("field", "value", "said"), REFUSED, ids=lambda value: repr(value)[:40])
async def test_an_update_has_the_same_limits_and_changes_nothing_when_refused(
    control: kit.Control, field: str, value: object, said: str
) -> None:
    if field in ("functionName", "tags") or value is ... or "is missing" in said:
        return
    before = (await control.create()).json()
    status, code, message = problem_of(await control.call("PUT", ECHO, json={field: value}))
    assert (status, code) == (400, "InvalidArgument")
    assert said in message
    assert (await control.call("GET", ECHO)).json() == before


@pytest.mark.parametrize(
    ("fields", "cpu", "memory_mb"),
    [
        ({}, 0.35, 512),
        ({"cpu": 0.35, "memorySize": 512}, 0.35, 512),
        ({"memorySize": 512}, 0.35, 512),
        ({"cpu": 0.35}, 0.35, 512),
        ({"memorySize": 128}, 0.05, 128),
        ({"memorySize": 32768}, 16, 32768),
        ({"cpu": 0.05}, 0.05, 128),
        ({"cpu": 16}, 16, 23424),
        ({"cpu": 1, "memorySize": 1024}, 1, 1024),
        ({"cpu": 1, "memorySize": 4096}, 1, 4096),
        ({"cpu": 0.15000000000000002}, 0.15, 192),
    ],
)
async def test_processors_and_memory_fit_each_other(
    control: kit.Control, fields: dict[str, Any], cpu: float, memory_mb: int
) -> None:
    shown = (await control.create(**fields)).json()
    assert (shown["cpu"], shown["memorySize"]) == (cpu, memory_mb)
    assert 1 <= shown["memorySize"] / 1024 / shown["cpu"] <= 4


@pytest.mark.parametrize(("cpu", "memory_mb"), [(1, 960), (1, 4160), (0.05, 256), (16, 16320)])
async def test_a_ratio_outside_1_to_4_is_refused_with_one_that_fits(
    control: kit.Control, cpu: float, memory_mb: int
) -> None:
    status, code, message = problem_of(await control.create(cpu=cpu, memorySize=memory_mb))
    assert (status, code) == (400, "InvalidArgument")
    assert "between 1:1 and 1:4" in message
    offered = float(message.rsplit("give cpu ", 1)[1].rstrip(")"))
    assert (await control.create(cpu=offered, memorySize=memory_mb)).status_code == 200


@pytest.mark.parametrize("memory_mb", range(128, 32769, 64 * 17))
async def test_memory_alone_is_always_enough(control: kit.Control, memory_mb: int) -> None:
    assert (await control.create(memorySize=memory_mb)).status_code == 200


async def test_an_update_of_memory_alone_keeps_to_the_ratio(control: kit.Control) -> None:
    await control.create()
    assert "1:4" in problem_of(await control.call("PUT", ECHO, json={"memorySize": 2048}))[2]
    after = (await control.call("PUT", ECHO, json={"memorySize": 2048, "cpu": 1})).json()
    assert (after["cpu"], after["memorySize"]) == (1, 2048)


SHELLS: dict[str, Any] = {
    "internetAccess": True,
    "description": "",
    "memorySize": 512,
    "cpu": 0.35,
    "diskSize": 512,
    "timeout": 3,
    "vpcConfig": {"vpcId": "", "vSwitchIds": [], "securityGroupId": ""},
    "nasConfig": {"groupId": 0, "userId": 0, "mountPoints": []},
    "logConfig": {
        "project": "",
        "logstore": "",
        "enableRequestMetrics": False,
        "enableInstanceMetrics": False,
        "logBeginRule": "None",
    },
    "ossMountConfig": {"mountPoints": []},
    "tracingConfig": {},
    "layers": [],
    "instanceIsolationMode": "SHARE",
    "sessionAffinity": "NONE",
    "instanceLifecycleConfig": {"initializer": {"handler": "", "timeout": 0}, "preStop": {}},
}


async def test_the_empty_shells_that_deploy_tools_send_count_as_unset(control: kit.Control) -> None:
    shown = (await control.create(**SHELLS)).json()
    assert not {"vpcConfig", "nasConfig", "logConfig", "ossMountConfig", "tracingConfig"} & set(shown)
    assert (shown["instanceIsolationMode"], shown["sessionAffinity"]) == ("SHARE", "NONE")
    assert shown["stateReason"] == ""
    again = await control.call("PUT", ECHO, json={name: value for name, value in shown.items() if name != "layers"})
    assert again.json() == shown


async def test_official_fields_without_effect_here_are_kept_answered_and_said_so(control: kit.Control) -> None:
    gpu = {"gpuMemorySize": 1024, "gpuType": "fc.gpu.tesla.1"}
    shown = (await control.create(runtime="python3.10", gpuConfig=gpu, role="acs:ram::1:role/r")).json()
    assert (shown["gpuConfig"], shown["role"]) == (gpu, "acs:ram::1:role/r")
    assert shown["stateReason"] == (
        "runs on Python 3.11; kept, but without effect on this node: gpuConfig; no credentials: role "
        "'acs:ram::1:role/r' is not one of this account (functory role create, then deploy)"
    )
    cleared = (
        await control.call("PUT", ECHO, json={"gpuConfig": {"gpuMemorySize": 0, "gpuType": ""}, "role": ""})
    ).json()
    assert "gpuConfig" not in cleared
    assert cleared["stateReason"] == "runs on Python 3.11"


async def test_hooks_are_answered_as_given_and_removed_by_empty_ones(control: kit.Control) -> None:
    hooks = {
        "initializer": {"handler": "index.init", "timeout": 30},
        "preStop": {"handler": "index.stop", "timeout": 3},
    }
    shown = (await control.create(instanceLifecycleConfig=hooks)).json()
    assert shown["instanceLifecycleConfig"] == hooks
    [stored] = await control.store.functions.all()
    assert stored.initializer is not None
    assert stored.initializer.timeout_s == 30
    after = await control.call("PUT", ECHO, json={"instanceLifecycleConfig": {"preStop": {"handler": ""}}})
    assert after.json()["instanceLifecycleConfig"] == {}


async def test_unknown_fields_are_ignored_and_null_is_unset(control: kit.Control) -> None:
    response = await control.create(somethingNew={"a": [1]}, timeout=None, layers=None, vpcConfig=None)
    assert response.json()["timeout"] == 3


async def test_handlers_of_other_runtimes_have_their_own_form(control: kit.Control) -> None:
    assert (await control.create(runtime="custom", handler="anything")).status_code == 200
    assert "must be file.function" in problem_of(await control.call("PUT", ECHO, json={"runtime": "python3"}))[2]


async def test_base64_with_escaped_slashes_is_read(control: kit.Control) -> None:
    noisy = kit.zip_of(index__py="".join(chr(n) for n in range(32, 3000)))
    text = kit.b64(noisy)
    assert "/" in text
    body = (
        '{"functionName":"echo","runtime":"python3","handler":"index.handler","code":{"zipFile":"'
        + text.replace("/", "\\/")
        + '"}}'
    )
    shown = (await control.call("POST", ALL, body=body.encode())).json()
    assert shown["codeSize"] == len(noisy)


async def test_a_large_archive_arrives_whole(control: kit.Control) -> None:
    large = kit.zip_of(index__py="x", data="ab" * (1 << 20))
    shown = (await control.create(code={"zipFile": kit.b64(large)})).json()
    assert shown["codeSize"] == len(large)
    [stored] = await control.store.functions.all()
    assert control.code.archives[stored.code_digest] == large


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b'{"functionName":"\\ud800"}', b'{"a":' * 5000])
async def test_a_body_that_is_not_the_right_json_is_refused(control: kit.Control, body: bytes) -> None:
    await control.create()
    for method, path in (("POST", ALL), ("PUT", ECHO)):
        status, code, message = problem_of(await control.call(method, path, body=body))
        assert (status, code) == (400, "InvalidArgument")
        assert "body" in message


def test_all_official_fields_of_both_inputs_are_typed() -> None:
    create = {field.encode_name for field in structs.fields(inputs.CreateFunctionInput)}
    update = {field.encode_name for field in structs.fields(inputs.UpdateFunctionInput)}
    assert len(create) == 36
    assert create - update == {"functionName", "resourceGroupId", "tags"}
    assert set(inputs.KEPT) < create
    assert {"customDNS", "juiceFsConfig", "ossMountConfig", "disableOndemand"} < create
