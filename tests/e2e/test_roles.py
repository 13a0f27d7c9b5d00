"""Functions that call back: temporary credentials by the official SDK, by headers, and until the role is gone."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest

import control_kit as kit
from e2e.node_process import NodeProcess
from functory.clock import SystemClock
from functory.model.account import AccessKey
from functory.sdk import ApiError, Client

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]

CALLER = """
import json, os
from alibabacloud_fc20230330 import models
from alibabacloud_fc20230330.client import Client
from alibabacloud_tea_openapi.exceptions import ClientException
from alibabacloud_tea_openapi.models import Config

def handler(event, context):
    own = context.credentials
    assert own.access_key_secret == os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"]
    client = Client(Config(
        access_key_id=own.access_key_id, access_key_secret=own.access_key_secret, security_token=own.security_token,
        endpoint=os.environ["FUNCTORY_ENDPOINT"].removeprefix("http://"), protocol="http"))
    told = {}
    for name in ("role-callee", "role-other"):
        try:
            answer = client.invoke_function(name, models.InvokeFunctionRequest(body=b"from inside"))
            told[name] = answer.body.read().decode()
        except ClientException as refused:
            told[name] = [refused.status_code, refused.code]
    try:
        client.list_functions(models.ListFunctionsRequest())
    except ClientException as refused:
        told["list"] = [refused.status_code, refused.code]
    return told
"""
ECHO = "def handler(event, context):\n    return event\n"
HEADERS = """
import json, os
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        names = ("x-fc-access-key-id", "x-fc-access-key-secret", "x-fc-security-token")
        body = json.dumps([self.headers.get(name) for name in names]).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
HTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""


def packed(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return out.getvalue()


def sdk_layer(client: Client, python: Path) -> str:
    """The official SDK as a layer; its ARN."""
    [packages] = python.parent.parent.glob("lib/python3*/site-packages")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file in packages.rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                archive.write(file, f"python/{file.relative_to(packages)}")
    body = json.dumps({"code": {"zipFile": kit.b64(out.getvalue())}, "compatibleRuntime": ["python3"]}).encode()
    reply = client._transport.call("CreateLayerVersion", "POST", "/2023-03-30/layers/sdk/versions", body=body)
    arn: str = json.loads(reply.body)["layerVersionArn"]
    return arn


def arn_of(client: Client, name: str) -> str:
    return f"acs:ram::{client.credentials.account_id}:role/{name}"


def make(client: Client, name: str, code: str, **fields: Any) -> None:
    settings = {"runtime": "python3", "handler": "index.handler", "memorySize": 512, "timeout": 30, **fields}
    client.functions.create(name, settings, packed({"index.py": code}))


def test_a_function_calls_back_with_the_official_sdk_within_its_role(
    node: NodeProcess, client: Client, sdk_python: Path
) -> None:
    client.roles.create("calls-one", ["invoke"], functions=["role-callee"])
    make(client, "role-callee", ECHO)
    make(client, "role-other", ECHO)
    make(client, "role-caller", CALLER, role=arn_of(client, "calls-one"), layers=[sdk_layer(client, sdk_python)])
    told = json.loads(client.invoke("role-caller").payload)
    assert told == {
        "role-callee": "from inside",
        "role-other": [403, "AccessDenied"],
        "list": [403, "AccessDenied"],
    }
    client.roles.update("calls-one", ["invoke"])
    assert json.loads(client.invoke("role-caller").payload)["role-other"] == "from inside"
    client.roles.delete("calls-one")
    assert json.loads(client.invoke("role-caller").payload) == {
        name: [403, "InvalidSecurityToken"] for name in ("role-callee", "role-other", "list")
    }
    secret = json.loads((node.data / "credentials.json").read_text())["accessKeySecret"]
    assert secret not in node.log
    assert "FS1." not in node.log, "security tokens are not logged"


def test_a_custom_runtime_gets_them_by_headers_and_without_a_role_nobody_gets_any(
    node: NodeProcess, client: Client
) -> None:
    client.roles.create("reads", ["read"])
    custom = {
        "runtime": "custom",
        "handler": "x",
        "timeout": 30,
        "customRuntimeConfig": {"command": ["python3", "/code/app.py"]},
    }
    for name, role in (("role-custom", arn_of(client, "reads")), ("role-none", "")):
        client.functions.create(name, {**custom, **({"role": role} if role else {})}, packed({"app.py": HEADERS}))
    assert json.loads(client.invoke("role-none").payload) == [None, None, None]
    key_id, secret, token = json.loads(client.invoke("role-custom").payload)

    def ask(method: str, path: str, nonce: str) -> httpx.Response:
        key = AccessKey(access_key_id=key_id, secret=secret, account_id="")
        date = kit.date_text(SystemClock().now_ms())
        own = {"x-acs-security-token": token, "host": node.endpoint.removeprefix("http://")}
        headers = kit.sign(method, path, own, b"", key, date=date, nonce=nonce + hashlib.md5(date.encode()).hexdigest())
        return httpx.request(method, node.endpoint + path, headers=headers)

    assert ask("GET", "/2023-03-30/functions", "a").json()["functions"]
    refused = ask("DELETE", "/2023-03-30/functions/role-none", "b")
    assert (refused.status_code, refused.json()["Code"]) == (403, "AccessDenied")


def test_roles_and_what_functions_got_of_them_survive_a_restart(tmp_path: Path) -> None:
    own = NodeProcess(tmp_path)
    own.start()
    tell = "def handler(event, context):\n    return context.credentials.access_key_id\n"
    with Client(own.credentials) as client:
        made = client.roles.create("kept", ["read"])
        make(client, "teller", tell, role=made.arn)
        before = client.invoke("teller").payload
    assert own.stop() == 0
    own = NodeProcess(tmp_path)
    own.start()
    with Client(own.credentials) as client:
        assert client.invoke("teller").payload == before == f"STS.{made.role_id}".encode()
        client.roles.delete("kept")
        with pytest.raises(ApiError) as caught:
            client.roles.get("kept")
        assert caught.value.code == "RoleNotFound"
    assert own.stop() == 0
