"""Functions for the nodes of these tests."""

from __future__ import annotations

import io
import zipfile

import msgspec

from functory.sdk import Client


def make(client: Client, name: str, code: str, *, concurrency: int = 1, timeout_s: int = 60, **config: object) -> str:
    """A function with an asynchronous configuration; its ARN."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("index.py", code)
    fields: dict[str, object] = {"runtime": "python3", "handler": "index.handler", "timeout": timeout_s}
    arn = client.functions.create(name, fields | {"instanceConcurrency": concurrency}, out.getvalue()).function_arn
    if config:
        path = f"/2023-03-30/functions/{name}/async-invoke-config"
        client._transport.call("PutAsyncInvokeConfig", "PUT", path, body=msgspec.json.encode(config))
    return arn
