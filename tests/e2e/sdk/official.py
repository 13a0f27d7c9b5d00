"""What a user of the official Python SDK does, against a running node. Runs in the SDK's own environment.

    ENDPOINT=127.0.0.1:9000 ACCESS_KEY_ID=… ACCESS_KEY_SECRET=… python official.py STEP

STEP is one of `STEPS`, at the end.

Nothing but endpoint, protocol and credentials differs from a program for the cloud.
"""

from __future__ import annotations

import base64
import io
import json
import os
import sys
import time
import urllib.request
import zipfile
from typing import Any

from alibabacloud_fc20230330 import models  # type: ignore[import-not-found]
from alibabacloud_fc20230330.client import Client  # type: ignore[import-not-found]
from alibabacloud_tea_openapi.exceptions import ClientException  # type: ignore[import-not-found]
from alibabacloud_tea_openapi.models import Config  # type: ignore[import-not-found]
from alibabacloud_tea_util.models import RuntimeOptions  # type: ignore[import-not-found]

RUNTIME = "python3.10"
PREFIX = "sdk-"
HANDLER = """
def handler(event, context):
    print("called as", context.request_id)
    if event == b"fail":
        raise ValueError("as wished")
    return event
"""


def connect(secret: str = "") -> Any:
    """A client of the node."""
    return Client(
        Config(
            access_key_id=os.environ["ACCESS_KEY_ID"],
            access_key_secret=secret or os.environ["ACCESS_KEY_SECRET"],
            endpoint=os.environ["ENDPOINT"],
            protocol="http",
        )
    )


def zip_of(code: str) -> bytes:
    """A zip with one `index.py`; the same code gives the same bytes, whatever the time is."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("index.py"), code, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def create(client: Any, name: str, code: str = HANDLER, **fields: Any) -> Any:
    """CreateFunction from a zip in memory."""
    location = models.InputCodeLocation(zip_file=base64.b64encode(zip_of(code)).decode())
    given = models.CreateFunctionInput(
        function_name=name, runtime=RUNTIME, handler="index.handler", code=location, **fields
    )
    return client.create_function(models.CreateFunctionRequest(body=given)).body


def update(client: Any, name: str, **fields: Any) -> Any:
    """UpdateFunction."""
    return client.update_function(name, models.UpdateFunctionRequest(body=models.UpdateFunctionInput(**fields))).body


def names(client: Any, **query: Any) -> tuple[list[str], str]:
    """One page of ListFunctions."""
    page = client.list_functions(models.ListFunctionsRequest(prefix=PREFIX, **query)).body
    return [one.function_name for one in page.functions], page.next_token or ""


def remove_all(client: Any) -> None:
    """Leaves nothing behind."""
    for name in names(client, limit=100)[0]:
        provisioned = client.list_provision_configs(models.ListProvisionConfigsRequest(function_name=name)).body
        for config in provisioned.provision_configs or []:
            client.delete_provision_config(name, models.DeleteProvisionConfigRequest(qualifier=_qualifier(config)))
        scaled = client.list_scaling_configs(models.ListScalingConfigsRequest(function_name=name)).body
        for config in scaled.scaling_configs or []:
            client.delete_scaling_config(name, models.DeleteScalingConfigRequest(qualifier=_qualifier(config)))
        client.delete_function(name)


def _qualifier(config: Any) -> str:
    parts = config.function_arn.split("/")
    return str(parts[2]) if len(parts) > 2 else "LATEST"


def refused(code: str, status: int, call: Any, *arguments: Any, **fields: Any) -> str:
    """The call must raise the SDK's typed exception; its message."""
    try:
        call(*arguments, **fields)
    except ClientException as raised:
        error = raised
    else:
        raise AssertionError(f"{call} was not refused with {code}")
    assert (error.code, error.status_code) == (code, status), (error.code, error.status_code, error.message)
    assert "request id: 1-" in error.message, error.message
    return str(error.message)


def manage(client: Any) -> None:
    """Create, get, list page by page, update, fetch the code, list instances, delete."""
    tags = [models.Tag(key="team", value="red + blue")]
    made = create(client, f"{PREFIX}0", description="first ü", memory_size=512, cpu=0.35, timeout=10, tags=tags)
    assert (made.state, made.last_update_status, made.runtime) == ("Active", "Successful", RUNTIME)
    assert made.function_arn.endswith(f":functions/{PREFIX}0"), made.function_arn
    assert made.code_size == len(zip_of(HANDLER))
    for n in range(1, 5):
        create(client, f"{PREFIX}{n}")

    first, token = names(client, limit=2)
    second, token = names(client, limit=2, next_token=token)
    third, end = names(client, limit=2, next_token=token)
    assert first + second + third == [f"{PREFIX}{n}" for n in range(5)]
    assert not end
    assert names(client, tags=tags)[0] == [f"{PREFIX}0"]
    assert len(names(client, runtime=RUNTIME)[0]) == 5

    got = client.get_function(f"{PREFIX}0", models.GetFunctionRequest(qualifier="LATEST")).body
    assert got.to_map() == made.to_map()
    changed = update(client, f"{PREFIX}0", timeout=20, environment_variables={"MODE": "x"})
    assert (changed.timeout, changed.environment_variables, changed.description) == (20, {"MODE": "x"}, "first ü")
    new = zip_of(HANDLER + "\n# new\n")
    location = models.InputCodeLocation(zip_file=base64.b64encode(new).decode())
    assert update(client, f"{PREFIX}0", code=location).code_checksum != made.code_checksum

    code = client.get_function_code(f"{PREFIX}0", models.GetFunctionCodeRequest()).body
    with urllib.request.urlopen(code.url) as answer:
        assert answer.read() == new
    instances = client.list_instances(f"{PREFIX}0", models.ListInstancesRequest(with_all_active=True, limit="5")).body
    assert isinstance(instances.instances, list)

    assert client.delete_function(f"{PREFIX}0").status_code == 204
    assert names(client)[0] == [f"{PREFIX}{n}" for n in range(1, 5)]


def invoke(client: Any) -> None:
    """Call: an echo, with its log, a failing function, 1 MB, nothing."""
    name = f"{PREFIX}echo"
    create(client, name, timeout=30)

    def call(body: bytes, **headers: str) -> tuple[dict[str, str], bytes]:
        answer = client.invoke_function_with_options(
            name,
            models.InvokeFunctionRequest(body=body, qualifier="LATEST"),
            models.InvokeFunctionHeaders(**headers),
            RuntimeOptions(read_timeout=60_000),
        )
        assert answer.status_code == 200
        content = answer.body.read() if hasattr(answer.body, "read") else answer.body
        return {key.lower(): value for key, value in answer.headers.items()}, content or b""

    headers, body = call(b"hello \x00\xff", x_fc_log_type="Tail")
    assert body == b"hello \x00\xff", body
    assert "x-fc-error-type" not in headers
    tail = base64.b64decode(headers["x-fc-log-result"]).decode()
    assert f"called as {headers['x-fc-request-id']}" in tail, tail

    headers, body = call(b"fail")
    assert headers["x-fc-error-type"] == "UnhandledInvocationError", headers
    assert json.loads(body)["errorMessage"] == "as wished", body

    large = os.urandom(1 << 20)
    assert call(large)[1] == large
    assert call(b"")[1] == b""


def refuse(client: Any) -> None:
    """Every refusal arrives as the SDK's exception with the official code."""
    name = f"{PREFIX}once"
    create(client, name)
    refused("FunctionAlreadyExists", 409, create, client, name)
    missing = refused("FunctionNotFound", 404, client.get_function, f"{PREFIX}none", models.GetFunctionRequest())
    assert f"function '{PREFIX}none' does not exist" in missing, missing
    refused("FunctionNotFound", 404, client.delete_function, f"{PREFIX}none")
    refused("FunctionNotFound", 404, client.invoke_function, f"{PREFIX}none", models.InvokeFunctionRequest(body=b""))
    refused("InvalidArgument", 400, create, client, f"{PREFIX}bad", memory_size=500)
    refused("InvalidArgument", 400, update, client, name, cpu=0.33)
    refused("VersionNotFound", 404, client.get_function, name, models.GetFunctionRequest(qualifier="7"))
    refused("LayerNotFound", 404, client.get_layer_version_by_arn, "acs:fc:x:1:layers/a/versions/1")
    refused("PathNotSupported", 400, client.get_session, name, "one", models.GetSessionRequest())
    refused("SignatureNotMatch", 403, connect("wrong").get_function, name, models.GetFunctionRequest())


def said_by(client: Any, name: str, qualifier: str) -> tuple[bytes, str]:
    """What a call of a qualifier answers, and which version answered."""
    answer = client.invoke_function(name, models.InvokeFunctionRequest(body=b"?", qualifier=qualifier))
    content = answer.body.read() if hasattr(answer.body, "read") else answer.body
    found = {key.lower(): value for key, value in answer.headers.items()}
    return content, found["x-fc-invocation-service-version"]


def speaking(word: str) -> str:
    """Code that answers a word and the version that it runs as."""
    return f'def handler(event, context):\n    return b"{word} " + context.function.version_id.encode()\n'


def versions(client: Any) -> None:
    """Publish, list, call by number and by alias, shift an alias, remove."""
    name = f"{PREFIX}versions"
    create(client, name, speaking("one"))
    first = client.publish_function_version(name, _publish("first")).body
    assert (first.version_id, first.description) == ("1", "first")
    refused("VersionPublishError", 400, client.publish_function_version, name, _publish("again"))
    location = models.InputCodeLocation(zip_file=base64.b64encode(zip_of(speaking("two"))).decode())
    update(client, name, code=location)
    assert client.publish_function_version(name, _publish("second")).body.version_id == "2"
    listed = client.list_function_versions(name, models.ListFunctionVersionsRequest(direction="FORWARD")).body
    assert [one.version_id for one in listed.versions] == ["1", "2"]

    calls = [said_by(client, name, qualifier) for qualifier in ("1", "2", "LATEST")]
    assert calls == [(b"one 1", "1"), (b"two 2", "2"), (b"two ", "LATEST")], calls
    old = client.get_function(name, models.GetFunctionRequest(qualifier="1")).body
    code = client.get_function_code(name, models.GetFunctionCodeRequest(qualifier="1")).body
    assert code.checksum == old.code_checksum
    with urllib.request.urlopen(code.url) as answer:
        assert answer.read() == zip_of(speaking("one"))

    given = models.CreateAliasInput(alias_name="prod", version_id="1", description="live")
    made = client.create_alias(name, models.CreateAliasRequest(body=given)).body
    assert (made.alias_name, made.version_id) == ("prod", "1")
    refused("AliasAlreadyExists", 409, client.create_alias, name, models.CreateAliasRequest(body=given))
    assert said_by(client, name, "prod") == (b"one 1", "1")
    shifted = models.UpdateAliasInput(additional_version_weight={"2": 1.0})
    client.update_alias(name, "prod", models.UpdateAliasRequest(body=shifted))
    assert said_by(client, name, "prod") == (b"two 2", "2")
    got = client.get_alias(name, "prod").body
    assert (got.version_id, got.additional_version_weight) == ("1", {"2": 1.0})
    assert [one.alias_name for one in client.list_aliases(name, models.ListAliasesRequest()).body.aliases] == ["prod"]
    refused("VersionInUse", 409, client.delete_function_version, name, "2")
    assert client.delete_alias(name, "prod").status_code == 204
    assert client.delete_function_version(name, "1").status_code == 204
    refused("VersionNotFound", 404, said_by, client, name, "1")
    refused("AliasNotFound", 404, said_by, client, name, "prod")


def _publish(description: str) -> Any:
    return models.PublishFunctionVersionRequest(body=models.PublishVersionInput(description=description))


def configs(client: Any) -> None:
    """Concurrency, provision, scaling and asynchronous configurations."""
    name = f"{PREFIX}configs"
    create(client, name)
    put = models.PutConcurrencyConfigRequest(body=models.PutConcurrencyInput(reserved_concurrency=5))
    assert client.put_concurrency_config(name, put).body.reserved_concurrency == 5
    assert client.get_concurrency_config(name).body.function_arn.endswith(f"functions/{name}")
    listed = client.list_concurrency_configs(models.ListConcurrencyConfigsRequest(function_name=name)).body
    assert [one.reserved_concurrency for one in listed.configs] == [5]
    assert client.delete_concurrency_config(name).status_code == 204
    refused("ConcurrencyConfigNotFound", 404, client.get_concurrency_config, name)

    action = models.ScheduledAction(name="morning", schedule_expression="cron(0 0 8 * * *)", target=3)
    wanted = models.PutProvisionConfigInput(target=2, scheduled_actions=[action])
    asked = models.PutProvisionConfigRequest(qualifier="LATEST", body=wanted)
    assert client.put_provision_config(name, asked).body.target == 2
    of_latest = models.GetProvisionConfigRequest(qualifier="LATEST")
    deadline = time.monotonic() + 20
    while client.get_provision_config(name, of_latest).body.current != 2:
        assert time.monotonic() < deadline, client.get_provision_config(name, of_latest).body
    instances = client.list_instances(name, models.ListInstancesRequest()).body.instances
    assert len(instances) == 2, "they stand ready though nobody called"
    refused("ProvisionConfigExist", 409, client.delete_function, name)
    assert client.delete_provision_config(name, models.DeleteProvisionConfigRequest()).status_code == 204
    assert not client.get_provision_config(name, of_latest).body.function_arn

    scaling = models.PutScalingConfigRequest(body=models.PutScalingConfigInput(min_instances=1))
    assert client.put_scaling_config(name, scaling).body.min_instances == 1
    assert client.get_scaling_config(name, models.GetScalingConfigRequest()).body.target_instances == 1
    assert client.delete_scaling_config(name, models.DeleteScalingConfigRequest()).status_code == 204

    told = models.Destination(destination="https://example.com/hook")
    given = models.PutAsyncInvokeConfigInput(
        async_task=True,
        max_async_retry_attempts=1,
        max_async_event_age_in_seconds=600,
        destination_config=models.DestinationConfig(on_failure=told),
    )
    kept = client.put_async_invoke_config(name, models.PutAsyncInvokeConfigRequest(body=given)).body
    assert (kept.max_async_retry_attempts, kept.async_task) == (1, True)
    got = client.get_async_invoke_config(name, models.GetAsyncInvokeConfigRequest()).body
    assert got.destination_config.on_failure.destination == "https://example.com/hook"
    all_of = client.list_async_invoke_configs(models.ListAsyncInvokeConfigsRequest(function_name=name)).body
    assert len(all_of.configs) == 1
    assert client.delete_async_invoke_config(name, models.DeleteAsyncInvokeConfigRequest()).status_code == 204


def tasks(client: Any) -> None:
    """Asynchronous calls: hand over, repeat, look, list, stop, retry."""
    name = f"{PREFIX}tasks"
    create(client, name)
    given = models.PutAsyncInvokeConfigInput(async_task=True, max_async_retry_attempts=0)
    client.put_async_invoke_config(name, models.PutAsyncInvokeConfigRequest(body=given))

    def submit(body: bytes, **headers: Any) -> str:
        asked = models.InvokeFunctionHeaders(x_fc_invocation_type="Async", **headers)
        request = models.InvokeFunctionRequest(body=body)
        answer = client.invoke_function_with_options(name, request, asked, RuntimeOptions())
        assert answer.status_code == 202, answer.status_code
        found = {key.lower(): value for key, value in answer.headers.items()}
        return str(found["x-fc-async-task-id"])

    def ended(task_id: str) -> Any:
        deadline = time.monotonic() + 20
        while True:
            task = client.get_async_task(name, task_id, models.GetAsyncTaskRequest()).body
            if task.end_time:
                return task
            assert time.monotonic() < deadline, task

    assert submit(b"one", x_fc_async_task_id="first") == "first"
    task = ended("first")
    assert (task.status, task.return_payload, task.task_payload) == ("Succeeded", "one", "one"), task
    assert [event.status for event in task.events] == ["Enqueued", "Running", "Succeeded"]
    refused("StatefulAsyncInvocationAlreadyExists", 409, submit, b"one", x_fc_async_task_id="first")
    failed = ended(submit(b"fail"))
    assert (failed.status, failed.already_retried_times) == ("Failed", 0), failed
    assert "as wished" in failed.task_error_message
    assert submit(b"", x_fc_async_task_id="waits", common_headers={"x-fc-async-delay": "600"}) == "waits"

    def listed(**query: Any) -> list[str]:
        page = client.list_async_tasks(name, models.ListAsyncTasksRequest(**query)).body
        return [one.task_id for one in page.tasks]

    assert listed() == ["waits", failed.task_id, "first"]
    assert listed(status="Succeeded", include_payload=True, prefix="fi") == ["first"]
    page = client.list_async_tasks(name, models.ListAsyncTasksRequest(limit=2, sort_order_by_time="asc")).body
    rest = listed(limit=2, sort_order_by_time="asc", next_token=page.next_token)
    assert [one.task_id for one in page.tasks] + rest == ["first", failed.task_id, "waits"]
    client.stop_async_task(name, "waits", models.StopAsyncTaskRequest())
    assert ended("waits").status == "Stopped"
    get = client.get_async_task
    refused("StatefulAsyncInvocationNotFound", 404, get, name, "none", models.GetAsyncTaskRequest())


def around(client: Any) -> None:
    """The switch, tags, regions, private networks."""
    name = f"{PREFIX}around"
    arn = create(client, name).function_arn
    off = models.DisableFunctionInvocationRequest(reason="repair", abort_ongoing_request=False)
    assert client.disable_function_invocation(name, off).body.success
    message = refused("FunctionInvocationDisabled", 403, said_by, client, name, "LATEST")
    assert "repair" in message
    assert client.get_function(name, models.GetFunctionRequest()).body.invocation_restriction.disable
    assert client.enable_function_invocation(name).body.success
    assert said_by(client, name, "LATEST")[0] == b"?"

    tag = models.Tag(key="team", value="red + blue")
    given = models.TagResourcesInput(resource_id=[arn], resource_type="function", tag=[tag])
    assert client.tag_resources(models.TagResourcesRequest(body=given)).status_code == 204
    asked = models.ListTagResourcesRequest(resource_id=[arn], resource_type="function")
    found = client.list_tag_resources(asked).body.tag_resources
    assert [(one.tag_key, one.tag_value) for one in found] == [("team", "red + blue")], found
    away = models.UntagResourcesRequest(resource_id=[arn], resource_type="function", tag_key=["team"])
    assert client.untag_resources(away).status_code == 204
    assert not client.list_tag_resources(asked).body.tag_resources
    assert client.list_vpc_bindings(name).body.vpc_ids == []
    missing = models.CreateVpcBindingRequest(body=models.CreateVpcBindingInput(vpc_id="vpc-none"))
    refused("VpcNotFound", 404, client.create_vpc_binding, name, missing)
    assert client.delete_vpc_binding(name, "vpc-none").status_code == 204
    assert client.describe_regions(models.DescribeRegionsRequest()).body.regions.region[0].region_id


def layers(client: Any) -> None:
    """Upload two, use both in order, find by ARN, list, remove."""

    def upload(name: str, text: str) -> Any:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("python/word.py", f"WORD = {text!r}\n")
            archive.writestr(f"python/only_{text}.py", "")
        location = models.InputCodeLocation(zip_file=base64.b64encode(out.getvalue()).decode())
        given = models.CreateLayerVersionInput(code=location, compatible_runtime=[RUNTIME], description=text)
        return client.create_layer_version(name, models.CreateLayerVersionRequest(body=given)).body

    first, second = upload("sdk_a", "first"), upload("sdk_b", "second")
    code = "import only_first, only_second, word\n\ndef handler(event, context):\n    return word.WORD.encode()\n"
    name = f"{PREFIX}layers"
    made = create(client, name, code, layers=[first.layer_version_arn, second.layer_version_arn])
    assert [one.arn for one in made.layers] == [first.layer_version_arn, second.layer_version_arn]
    assert said_by(client, name, "LATEST")[0] == b"first", "the lower index wins"
    update(client, name, layers=[second.layer_version_arn, first.layer_version_arn])
    assert said_by(client, name, "LATEST")[0] == b"second"
    assert client.get_layer_version_by_arn(first.layer_version_arn).body.description == "first"
    assert client.get_layer_version("sdk_a", str(first.version)).body.code_size == first.code_size
    assert "sdk_a" in [one.layer_name for one in client.list_layers(models.ListLayersRequest(prefix="sdk")).body.layers]
    listed = client.list_layer_versions("sdk_a", models.ListLayerVersionsRequest()).body.layers
    assert [one.version for one in listed] == [first.version]
    for one in (first, second):
        assert client.delete_layer_version(one.layer_name, str(one.version)).status_code == 204
    refused("LayerVersionNotFound", 404, client.get_layer_version, "sdk_a", str(first.version))


STEPS = {
    "manage": manage,
    "invoke": invoke,
    "refuse": refuse,
    "versions": versions,
    "configs": configs,
    "tasks": tasks,
    "around": around,
    "layers": layers,
}


def main() -> None:
    """Runs one of the steps."""
    client = connect()
    remove_all(client)
    try:
        STEPS[sys.argv[1]](client)
    finally:
        remove_all(client)


if __name__ == "__main__":
    main()
