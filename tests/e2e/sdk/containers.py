"""What a user of the official Python SDK does with an image. Runs in the SDK's own environment.

ENDPOINT=… ACCESS_KEY_ID=… ACCESS_KEY_SECRET=… IMAGE=… OTHER_IMAGE=… python containers.py
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from alibabacloud_fc20230330 import models  # type: ignore[import-not-found]
from alibabacloud_tea_openapi.exceptions import ClientException  # type: ignore[import-not-found]
from alibabacloud_tea_util.models import RuntimeOptions  # type: ignore[import-not-found]
from official import connect  # type: ignore[import-not-found]

NAME = "sdk-container"


def wait(client: Any) -> Any:
    """GetFunction until it is Active and its update is over, as deploy tools do."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = client.get_function(NAME, models.GetFunctionRequest()).body
        if found.state != "Pending" and found.last_update_status != "InProgress":
            return found
        time.sleep(0.02)
    raise AssertionError("it is still on its way")


def call(client: Any, event: bytes, qualifier: str = "LATEST") -> bytes:
    """InvokeFunction."""
    asked = models.InvokeFunctionRequest(body=event, qualifier=qualifier)
    answer = client.invoke_function_with_options(NAME, asked, models.InvokeFunctionHeaders(), RuntimeOptions())
    found: bytes = answer.body.read()
    return found


def config(image: str, **more: Any) -> Any:
    """`customContainerConfig`."""
    return models.CustomContainerConfig(image=image, port=9000, **more)


def main() -> None:
    """Create, wait, call, publish, update, fail, delete."""
    client = connect()
    image, other = os.environ["IMAGE"], os.environ["OTHER_IMAGE"]
    body = models.CreateFunctionInput(
        function_name=NAME,
        runtime="custom-container",
        handler="not-used",
        timeout=10,
        custom_container_config=config(image, command=["--told"]),
        environment_variables={"WHICH": "first"},
    )
    made = client.create_function(models.CreateFunctionRequest(body=body)).body
    assert (made.state, made.last_update_status) == ("Pending", "InProgress"), made
    ready = wait(client)
    assert (ready.state, ready.last_update_status) == ("Active", "Successful"), ready
    assert "@sha256:" in ready.custom_container_config.resolved_image_uri
    assert call(client, b"echo me") == b"echo me"
    version = client.publish_function_version(NAME, models.PublishFunctionVersionRequest()).body.version_id

    change = models.UpdateFunctionInput(
        custom_container_config=config(other), environment_variables={"WHICH": "second"}
    )
    client.update_function(NAME, models.UpdateFunctionRequest(body=change))
    assert wait(client).last_update_status == "Successful"
    assert call(client, b"which") == b"second"
    assert call(client, b"which", qualifier=version) == b"first"

    broken = models.UpdateFunctionInput(custom_container_config=config(other + "-that-is-not-there"))
    client.update_function(NAME, models.UpdateFunctionRequest(body=broken))
    failed = wait(client)
    assert (failed.state, failed.last_update_status) == ("Active", "Failed"), failed
    assert failed.last_update_status_reason
    assert call(client, b"which") == b"second"

    client.delete_function_version(NAME, version)
    client.delete_function(NAME)
    try:
        client.get_function(NAME, models.GetFunctionRequest())
    except ClientException as gone:
        if gone.code == "FunctionNotFound":
            return
    sys.exit("it is still there")


if __name__ == "__main__":
    main()
