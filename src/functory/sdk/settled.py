"""Waits until a function that runs an image can be called: its node brings the image after it has answered."""

from __future__ import annotations

import time

from functory.sdk import errors
from functory.sdk.client import Client
from functory.sdk.functions import Function

LIMIT_S = 900.0
_LOOK_S = 0.1


def wait(client: Client, function: Function, limit_s: float = LIMIT_S) -> Function:
    """The function as it stands then; at once for one that runs code. `ImageError` says why it has no image."""
    deadline = time.monotonic() + limit_s
    while function.state == "Pending" or function.last_update_status == "InProgress":
        if time.monotonic() > deadline:
            raise errors.ImageError(
                f"the image of function '{function.function_name}' is not there after {limit_s:g} s",
                hint="the node goes on; GetFunction tells when the function is Active",
            )
        time.sleep(_LOOK_S)
        function = client.functions.get(function.function_name)
    if "Failed" in (function.state, function.last_update_status):
        why = function.last_update_status_reason or function.state_reason or "the node does not say why"
        raise errors.ImageError(f"the image of function '{function.function_name}' cannot be had: {why}")
    return function
