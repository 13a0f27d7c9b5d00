"""Concurrency, provision, scaling and asynchronous configurations, the invocation switch and tags."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

import control_kit as kit
from control_kit import problem_of

ECHO = "/2023-03-30/functions/echo"
CONCURRENCY, PROVISION = f"{ECHO}/concurrency", f"{ECHO}/provision-config"
SCALING, ASYNC = f"{ECHO}/scaling-config", f"{ECHO}/async-invoke-config"
TAGS = "/2023-03-30/tags-v2"
ARN = f"acs:fc:local:{kit.ACCOUNT}:functions/echo"


@pytest.fixture
async def control(control: kit.Control) -> kit.Control:
    """With a function."""
    await control.create()
    return control


async def test_reserved_concurrency_is_kept_answered_and_lifted(control: kit.Control) -> None:
    assert problem_of(await control.call("GET", CONCURRENCY))[:2] == (404, "ConcurrencyConfigNotFound")
    put = await control.call("PUT", CONCURRENCY, json={"reservedConcurrency": 7})
    assert put.json() == {"functionArn": ARN, "reservedConcurrency": 7}
    assert (await control.call("GET", CONCURRENCY)).json() == put.json()
    assert (await control.call("GET", "/2023-03-30/concurrency-configs")).json() == {"configs": [put.json()]}
    for _ in range(2):
        assert (await control.call("DELETE", CONCURRENCY)).status_code == 204
    assert (await control.call("GET", "/2023-03-30/concurrency-configs")).json() == {"configs": []}


async def test_functions_cannot_reserve_more_together_than_the_account_has(control: kit.Control) -> None:
    await control.create("other")
    other = "/2023-03-30/functions/other/concurrency"
    assert (await control.call("PUT", CONCURRENCY, json={"reservedConcurrency": 200})).status_code == 200
    refused = problem_of(await control.call("PUT", other, json={"reservedConcurrency": 101}))
    assert refused[:2] == (400, "LimitExceeded")
    assert "other functions of the account reserve 200 of its 300 places" in refused[2]
    assert (await control.call("PUT", other, json={"reservedConcurrency": 100})).status_code == 200
    assert (await control.call("PUT", CONCURRENCY, json={"reservedConcurrency": 150})).status_code == 200, "its own"


async def test_what_is_not_provisioned_answers_without_an_arn_as_the_official_service_does(
    control: kit.Control,
) -> None:
    for path in (PROVISION, SCALING):
        answer = await control.call("GET", path)
        assert (answer.status_code, answer.json()["functionArn"]) == (200, "")
    missing = await control.call("GET", PROVISION, query=[("qualifier", "9")])
    assert problem_of(missing)[:2] == (404, "VersionNotFound")


async def test_a_provision_config_is_kept_with_its_schedule(control: kit.Control) -> None:
    body: dict[str, Any] = {
        "target": 3,
        "scheduledActions": [
            {
                "name": "morning",
                "scheduleExpression": "cron(0 30 8 * * *)",
                "target": 9,
                "startTime": "2026-11-01T00:00:00",
                "endTime": "2026-12-01T00:00:00",
                "timeZone": "Asia/Shanghai",
            },
            {"name": "launch", "scheduleExpression": "at(2026-11-23T08:30:00Z)", "target": 100},
        ],
        "targetTrackingPolicies": [
            {
                "name": "busy",
                "metricType": "ProvisionedConcurrencyUtilization",
                "metricTarget": 0.6,
                "minCapacity": 1,
                "maxCapacity": 20,
            }
        ],
    }
    put = (await control.call("PUT", PROVISION, json=body)).json()
    assert put == body | {
        "functionArn": ARN,
        "defaultTarget": 0,
        "current": 0,
        "currentError": "",
        "alwaysAllocateCPU": False,
        "alwaysAllocateGPU": False,
    }
    assert (await control.call("GET", PROVISION)).json() == put
    assert (await control.call("GET", "/2023-03-30/provision-configs")).json() == {"provisionConfigs": [put]}


ACTION = {"name": "a", "scheduleExpression": "cron(0 0 8 * * *)", "target": 1}
POLICY = {
    "name": "p",
    "metricType": "CPUUtilization",
    "metricTarget": 0.5,
    "minCapacity": 1,
    "maxCapacity": 2,
}


@pytest.mark.parametrize(
    "body",
    [
        {"target": -1},
        {"target": 10_001},
        {"target": "many"},
        {"target": 1, "scheduledActions": [ACTION | {"scheduleExpression": "cron(0 8 * * *)"}]},
        {"target": 1, "scheduledActions": [ACTION | {"scheduleExpression": "at(noon)"}]},
        {"target": 1, "scheduledActions": [ACTION | {"scheduleExpression": "rate(1 day)"}]},
        {"target": 1, "scheduledActions": [ACTION | {"target": 10_001}]},
        {"target": 1, "scheduledActions": [ACTION | {"timeZone": "Moon/Sea"}]},
        {"target": 1, "scheduledActions": [ACTION | {"timeZone": "../../etc/passwd"}]},
        {"target": 1, "scheduledActions": [ACTION | {"startTime": "2026-12-01T00:00", "endTime": "2026-11-01T00:00"}]},
        {"target": 1, "scheduledActions": [ACTION, ACTION]},
        {"target": 1, "targetTrackingPolicies": [POLICY | {"metricType": "Mood"}]},
        {"target": 1, "targetTrackingPolicies": [POLICY | {"metricTarget": 0}]},
        {"target": 1, "targetTrackingPolicies": [POLICY | {"minCapacity": 3}]},
        {"target": 1, "targetTrackingPolicies": [POLICY | {"metricTarget": 1.1}]},
        {"target": 1, "targetTrackingPolicies": [POLICY, POLICY]},
        {"target": 1, "targetTrackingPolicies": [POLICY | {"metricType": "GPUMemUtilization"}]},
        {"target": 1, "targetTrackingPolicies": [POLICY | {"timeZone": "Moon/Sea"}]},
        {
            "target": 1,
            "targetTrackingPolicies": [POLICY | {"startTime": "2026-12-01T00:00", "endTime": "2026-11-01T00:00"}],
        },
    ],
)
async def test_a_provision_config_that_cannot_be_is_refused(control: kit.Control, body: dict[str, Any]) -> None:
    assert problem_of(await control.call("PUT", PROVISION, json=body))[:2] == (400, "InvalidArgument")


SCALING_POLICY = {
    "name": "p",
    "metricType": "MemoryUtilization",
    "metricTarget": 0.5,
    "minInstances": 1,
    "maxInstances": 2,
}


@pytest.mark.parametrize(
    "body",
    [
        {"minInstances": -1},
        {"minInstances": 10_001},
        {"scheduledPolicies": [ACTION | {"scheduleExpression": "cron(61 0 8 * * *)"}]},
        {"horizontalScalingPolicies": [SCALING_POLICY | {"minInstances": 3}]},
        {"horizontalScalingPolicies": [SCALING_POLICY | {"metricType": "GPUUtilization"}]},
        {"horizontalScalingPolicies": [SCALING_POLICY, SCALING_POLICY]},
    ],
)
async def test_a_scaling_config_that_cannot_be_is_refused(control: kit.Control, body: dict[str, Any]) -> None:
    assert problem_of(await control.call("PUT", SCALING, json=body))[:2] == (400, "InvalidArgument")
    whole = {"minInstances": 1, "horizontalScalingPolicies": [SCALING_POLICY], "scheduledPolicies": [ACTION]}
    shown = (await control.call("PUT", SCALING, json=whole)).json()
    assert {name: shown[name] for name in whole} == whole
    assert (shown["targetInstances"], shown["currentInstances"], shown["currentError"]) == (1, 0, "")


async def test_a_function_that_keeps_instances_is_not_deleted_by_the_way(control: kit.Control) -> None:
    await control.call("PUT", PROVISION, json={"target": 1})
    assert problem_of(await control.call("DELETE", ECHO))[:2] == (409, "ProvisionConfigExist")
    await control.call("DELETE", PROVISION)
    await control.call("PUT", SCALING, json={"minInstances": 1})
    assert problem_of(await control.call("DELETE", ECHO))[:2] == (409, "ResidentScalingConfigExists")
    await control.call("DELETE", SCALING)
    assert (await control.call("DELETE", ECHO)).status_code == 204


async def test_an_alias_that_keeps_instances_is_not_deleted_by_the_way(control: kit.Control) -> None:
    await control.call("POST", f"{ECHO}/versions")
    await control.call("POST", f"{ECHO}/aliases", json={"aliasName": "prod", "versionId": "1"})
    of_prod = [("qualifier", "prod")]
    put = await control.call("PUT", PROVISION, query=of_prod, json={"target": 2})
    assert put.json()["functionArn"] == f"{ARN}/prod"
    assert problem_of(await control.call("DELETE", f"{ECHO}/aliases/prod"))[:2] == (409, "ProvisionConfigExist")
    await control.call("PUT", PROVISION, query=of_prod, json={"target": 0})
    assert (await control.call("DELETE", f"{ECHO}/aliases/prod")).status_code == 204
    assert (await control.call("GET", "/2023-03-30/provision-configs")).json() == {"provisionConfigs": []}


async def test_a_scaling_config_is_kept_and_answered(control: kit.Control) -> None:
    body = {"minInstances": 2, "enableOnDemandScaling": False, "residentPoolId": "pool"}
    put = (await control.call("PUT", SCALING, json=body)).json()
    assert (put["minInstances"], put["targetInstances"], put["residentPoolId"]) == (2, 2, "pool")
    assert (put["functionArn"], put["enableOnDemandScaling"]) == (ARN, False)
    assert (await control.call("GET", "/2023-03-30/scaling-configs")).json() == {"scalingConfigs": [put]}


async def test_an_async_config_has_the_official_defaults_and_keeps_its_time_of_creation(control: kit.Control) -> None:
    assert problem_of(await control.call("GET", ASYNC))[:2] == (404, "AsyncConfigNotExists")
    put = (await control.call("PUT", ASYNC, json={})).json()
    assert (put["maxAsyncRetryAttempts"], put["maxAsyncEventAgeInSeconds"]) == (3, 86_400)
    assert (put["asyncTask"], put["destinationConfig"], put["functionArn"]) == (False, {}, ARN)
    control.clock.jump(3600)
    body = {"maxAsyncRetryAttempts": 0, "asyncTask": True}
    again = (await control.call("PUT", ASYNC, json=body)).json()
    assert (again["maxAsyncRetryAttempts"], again["asyncTask"]) == (0, True)
    assert again["createdTime"] == put["createdTime"] < again["lastModifiedTime"]
    assert (await control.call("GET", ASYNC)).json() == again
    stored = await control.store.async_configs.get(kit.ACCOUNT, "echo", "LATEST")
    assert (stored.max_retries, stored.task_mode) == (0, True)


@pytest.mark.parametrize(
    "destination",
    [
        f"acs:fc:local:{kit.ACCOUNT}:functions/other",
        "acs:fc:cn-hangzhou::functions/other/prod",
        "https://example.com/hook?x=1",
        "http://127.0.0.1:8080/",
    ],
)
async def test_a_function_or_a_url_may_be_told(control: kit.Control, destination: str) -> None:
    body = {"destinationConfig": {"onFailure": {"destination": destination}, "onSuccess": {}}}
    put = (await control.call("PUT", ASYNC, json=body)).json()
    assert put["destinationConfig"] == {"onFailure": {"destination": destination}}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"maxAsyncRetryAttempts": 9}, 400, "InvalidArgument"),
        ({"maxAsyncRetryAttempts": -1}, 400, "InvalidArgument"),
        ({"maxAsyncEventAgeInSeconds": 0}, 400, "InvalidArgument"),
        ({"maxAsyncEventAgeInSeconds": 604_801}, 400, "InvalidArgument"),
        ({"destinationConfig": {"onSuccess": {"destination": "acs:mns:r:1:/queues/q/messages"}}}, 400, None),
        ({"destinationConfig": {"onSuccess": {"destination": "ftp://x/y"}}}, 400, None),
        ({"destinationConfig": {"onSuccess": {"destination": "http://"}}}, 400, None),
        ({"destinationConfig": {"onSuccess": {"destination": "http://[::1"}}}, 400, None),
        ({"destinationConfig": {"onSuccess": {"destination": "acs:fc:r:999:functions/x"}}}, 403, "AccessDenied"),
    ],
)
async def test_an_async_config_that_cannot_be_is_refused(
    control: kit.Control, body: dict[str, Any], status: int, code: str | None
) -> None:
    found = problem_of(await control.call("PUT", ASYNC, json=body))
    assert found[:2] == (status, code or "InvalidArgument")


@pytest.mark.parametrize(
    ("destination", "what"),
    [
        ("acs:mns:cn-hangzhou:1:/queues/q/messages", "a queue or topic of the message service"),
        ("acs:mns:cn-hangzhou:1:/topics/t/messages", "a queue or topic of the message service"),
        ("acs:eventbridge:cn-hangzhou:1:eventbus/default", "an event bus"),
        ("acs:mq:cn-hangzhou:1:/instances/i/topics/t", "a RocketMQ topic"),
    ],
)
async def test_an_official_destination_that_is_not_served_is_refused_by_what_it_is(
    control: kit.Control, destination: str, what: str
) -> None:
    body = {"destinationConfig": {"onFailure": {"destination": destination}}}
    status, code, message, *_ = problem_of(await control.call("PUT", ASYNC, json=body))
    assert (status, code) == (400, "InvalidArgument")
    assert message.startswith(f"destinationConfig.onFailure.destination: destination {destination!r} is {what}")
    assert "served are functions" in message
    assert (await control.call("GET", ASYNC)).status_code == 404


async def test_configs_are_listed_page_by_page_over_functions_and_qualifiers(control: kit.Control) -> None:
    await control.create("other")
    await control.call("POST", f"{ECHO}/versions")
    for path, qualifier in ((ECHO, "LATEST"), (ECHO, "1"), ("/2023-03-30/functions/other", "LATEST")):
        await control.call("PUT", f"{path}/async-invoke-config", query=[("qualifier", qualifier)], json={})
    seen, token = [], ""
    for _ in range(3):
        query = [("limit", "1"), *([("nextToken", token)] if token else [])]
        page = (await control.call("GET", "/2023-03-30/async-invoke-configs", query=query)).json()
        seen += [one["functionArn"].partition("functions/")[2] for one in page["configs"]]
        token = page.get("nextToken", "")
    assert seen == ["echo/1", "echo", "other"]
    assert not token
    of_one = await control.call("GET", "/2023-03-30/async-invoke-configs", query=[("functionName", "other")])
    assert len(of_one.json()["configs"]) == 1
    missing = await control.call("GET", "/2023-03-30/async-invoke-configs", query=[("functionName", "none")])
    assert problem_of(missing)[:2] == (404, "FunctionNotFound")


async def test_the_switch_is_a_field_of_the_function(control: kit.Control) -> None:
    told: list[tuple[str, str, str]] = []
    object.__setattr__(control.parts, "abort", lambda *of: told.append(of))
    off = await control.call("POST", f"{ECHO}/invoke/disable", json={"reason": "repair", "abortOngoingRequest": True})
    assert off.json() == {"success": True}
    shown = (await control.call("GET", ECHO)).json()["invocationRestriction"]
    assert (shown["disable"], shown["reason"]) == (True, "repair")
    assert shown["lastModifiedTime"]
    assert control.changed[-1].restriction is not None
    assert told == [(kit.ACCOUNT, "echo", "invocation of the function was disabled: repair")]
    for _ in range(2):
        assert (await control.call("POST", f"{ECHO}/invoke/enable")).json() == {"success": True}
    assert (await control.call("GET", ECHO)).json()["invocationRestriction"]["disable"] is False


async def test_tags_are_added_listed_filtered_and_removed(control: kit.Control) -> None:
    await control.create("other", tags=[{"Key": "team", "Value": "blue"}])
    tags = [{"Key": "team", "Value": "red + blue"}, {"Key": "env", "Value": ""}]
    given = await control.call("POST", TAGS, json={"ResourceId": [ARN], "ResourceType": "function", "Tag": tags})
    assert given.status_code == 204
    rows = (await control.call("GET", TAGS, query=[("ResourceType", "function")])).json()["TagResources"]
    assert [(row["ResourceId"].rsplit("/")[-1], row["TagKey"], row["TagValue"]) for row in rows] == [
        ("echo", "env", ""),
        ("echo", "team", "red + blue"),
        ("other", "team", "blue"),
    ]
    wanted = msgspec.json.encode([{"Key": "team", "Value": "blue"}]).decode()
    found = (await control.call("GET", TAGS, query=[("ResourceType", "function"), ("Tag", wanted)])).json()
    assert {row["ResourceId"].rsplit("/")[-1] for row in found["TagResources"]} == {"other"}
    page = (await control.call("GET", TAGS, query=[("Limit", "1")])).json()
    rest = (await control.call("GET", TAGS, query=[("Limit", "1"), ("NextToken", page["NextToken"])])).json()
    assert len(page["TagResources"] + rest["TagResources"]) == 3
    listed = (await control.call("GET", "/2023-03-30/functions", query=[("tags", wanted)])).json()["functions"]
    assert [one["functionName"] for one in listed] == ["other"]
    away = [("ResourceType", "function"), ("ResourceId", f'["{ARN}"]'), ("TagKey", '["team"]')]
    assert (await control.call("DELETE", TAGS, query=away)).status_code == 204
    assert (await control.call("GET", ECHO)).json()["tags"] == [{"Key": "env", "Value": ""}]
    all_away = [("ResourceType", "function"), ("ResourceId", f'["{ARN}"]'), ("All", "True")]
    assert (await control.call("DELETE", TAGS, query=all_away)).status_code == 204
    assert (await control.call("GET", ECHO)).json()["tags"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"ResourceId": [], "Tag": [{"Key": "a", "Value": "b"}]}, 400),
        ({"ResourceId": [ARN], "Tag": [{"Key": "", "Value": "b"}]}, 400),
        ({"ResourceId": [ARN], "ResourceType": "disk", "Tag": [{"Key": "a", "Value": "b"}]}, 400),
        ({"ResourceId": ["acs:fc:local:999:functions/echo"], "Tag": [{"Key": "a", "Value": "b"}]}, 400),
        ({"ResourceId": [ARN, f"{ARN}2"], "Tag": [{"Key": "a", "Value": "b"}]}, 404),
        ({"ResourceId": [ARN], "Tag": [{"Key": str(n), "Value": "b"} for n in range(21)]}, 400),
    ],
)
async def test_tags_that_cannot_be_are_refused_and_none_is_written(
    control: kit.Control, body: dict[str, Any], status: int
) -> None:
    assert problem_of(await control.call("POST", TAGS, json=body))[0] == status
    assert (await control.call("GET", ECHO)).json()["tags"] == []


async def test_a_node_is_one_region_without_private_networks(control: kit.Control) -> None:
    regions = (await control.call("GET", "/2023-03-30/regions")).json()
    assert regions == {"Regions": {"Region": [{"RegionId": "local", "LocalName": "local"}]}}
    assert (await control.call("GET", f"{ECHO}/vpc-bindings")).json() == {"vpcIds": []}
