"""What a user of the official Python SDK does, against a running node. Runs in the SDK's own environment.

    ENDPOINT=127.0.0.1:9000 ACCESS_KEY_ID=… ACCESS_KEY_SECRET=… python official.py manage|invoke|refuse

Nothing but endpoint, protocol and credentials differs from a program for the cloud.
"""

from __future__ import annotations

import base64
import io
import json
import os
import sys
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
    """A zip with one `index.py`."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("index.py", code)
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
        client.delete_function(name)


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
    refused("PathNotSupported", 400, client.get_layer_version_by_arn, "acs:fc:x:1:layers/a/versions/1")
    refused("SignatureNotMatch", 403, connect("wrong").get_function, name, models.GetFunctionRequest())


STEPS = {"manage": manage, "invoke": invoke, "refuse": refuse}


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
