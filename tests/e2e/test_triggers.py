"""HTTP triggers, timers, domains and `s.yaml` on a real node."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from e2e.node_process import NodeProcess
from flows.test_control_domains import certificate, free_port, trusting
from functory.sdk import ApiError, Client

pytestmark = pytest.mark.server

Deploy = Callable[..., str]
STREAMING = """
import json

def handler(event, context):
    yield json.dumps({"statusCode": 200, "headers": {"Content-Type": "text/event-stream"}})
    for number in range(3):
        yield f"data: {number}\\n\\n"
"""
FAILING = "def handler(event, context):\n    raise RuntimeError('secret place')\n"
BINARY = """
import base64, json

def handler(event, context):
    request = json.loads(event)
    body = base64.b64decode(request["body"]) if request["isBase64Encoded"] else request["body"].encode()
    return {"statusCode": 200, "isBase64Encoded": True, "body": base64.b64encode(body[::-1]).decode()}
"""


@pytest.fixture
def deploy(node: NodeProcess, root: Path) -> Deploy:
    """`functory deploy …`, answers what it said."""

    def deploy(*arguments: str, **environ: str) -> str:
        return node.cli("deploy", *arguments, environ=environ).stderr

    return deploy


@pytest.fixture
def remove(client: Client) -> Iterator[list[str]]:
    """Functions that are removed at the end, triggers first."""
    names: list[str] = []
    yield names
    for name in names:
        for trigger in list(client.triggers.list(name)):
            client.triggers.delete(name, trigger.trigger_name)
        client.functions.delete(name)


def written(node: NodeProcess, name: str, source: str, config: dict[str, Any]) -> Path:
    folder = node.folder / name
    folder.mkdir()
    (folder / "index.py").write_text(source)
    methods = json.dumps(config.get("methods", ["GET", "POST"]))
    (folder / "functory.toml").write_text(
        f'[[triggers]]\nname = "web"\ntype = "http"\nauth = "anonymous"\nmethods = {methods}\n'
    )
    return folder


def url_of(client: Client, name: str) -> str:
    trigger = client.triggers.get(name, "web")
    assert trigger.http_trigger is not None
    return trigger.http_trigger.url_internet


@pytest.mark.parametrize("source", ["examples/hook", "examples/hook/s.yaml"])
def test_the_hook_example_answers_however_it_is_deployed(
    client: Client, deploy: Deploy, remove: list[str], root: Path, source: str
) -> None:
    remove.append("hook")
    assert "created" in deploy(str(root / source))
    assert "unchanged" in deploy(str(root / source))
    url = url_of(client, "hook")
    with httpx.Client(trust_env=False) as http:
        answer = http.post(f"{url}github?x=1", json={"action": "push"})
        assert (answer.status_code, answer.json()) == (202, {"accepted": ["action"], "path": "/github"})
        page = http.get(url)
        assert (page.headers["content-type"], page.text) == ("text/html", "<h1>Post JSON here</h1>")
        assert "content-disposition" not in page.headers
        assert http.post(url, content=b"{").status_code == 400
        assert http.delete(url).status_code == 405


def test_variables_of_the_environment_name_a_function(
    client: Client, deploy: Deploy, remove: list[str], root: Path
) -> None:
    remove.append("hook-two")
    deploy(str(root / "examples/hook/s.yaml"), HOOK_NAME="hook-two")
    assert client.functions.get("hook-two").memory_size == 128


@pytest.mark.parametrize("source", ["examples/clock", "examples/clock/s.yaml"])
def test_the_clock_example_is_called_by_its_timer(
    client: Client, deploy: Deploy, remove: list[str], root: Path, source: str
) -> None:
    remove.append("clock")
    deploy(str(root / source))
    assert {one.trigger_name for one in client.triggers.list("clock")} == {"often", "nightly"}
    since = client.triggers.get("clock", "often").created_time
    found: list[str] = []
    while len(found) < 2:  # each is due within a second; the test's own time limit ends the wait
        entries = client.function_logs("clock")
        found = [entry.text for entry in entries if _due(entry.text) > since]
    assert all(re.search(r"often was due at .*: tick", text) for text in found)
    calls = {(one.kind, one.status) for one in client.requests.list(function="clock")}
    assert calls == {("async", "ok")}  # each due time is a durable task


def _due(text: str) -> str:
    found = re.search(r"due at (\S+Z)", text)
    return found[1] if found else ""


def test_streams_binaries_and_failures_reach_the_caller(
    node: NodeProcess, client: Client, deploy: Deploy, remove: list[str]
) -> None:
    for name, source in (("sse", STREAMING), ("fails", FAILING), ("binary", BINARY)):
        remove.append(name)
        deploy(str(written(node, name, source, {})))
    with httpx.Client(trust_env=False) as http:
        with http.stream("GET", url_of(client, "sse")) as answer:
            assert answer.headers["content-type"] == "text/event-stream"
            assert answer.headers["transfer-encoding"] == "chunked"
            assert answer.read() == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
        failed = http.get(url_of(client, "fails"))
        assert (failed.status_code, failed.headers["x-fc-error-type"]) == (502, "UnhandledInvocationError")
        assert failed.json()["errorMessage"] == "secret place"
        assert "stackTrace" not in failed.text
        for size in (3, 4_000_000):
            sent = bytes(range(256)) * (size // 256 + 1)
            assert http.post(url_of(client, "binary"), content=sent).content == sent[::-1]
    record = client.requests.get(answer.headers["x-fc-request-id"], wait_s=5)
    assert (record.kind, record.function_name) == ("http", "sse")


def test_a_function_with_triggers_is_not_deleted(
    node: NodeProcess, client: Client, deploy: Deploy, remove: list[str]
) -> None:
    remove.append("bound")
    deploy(str(written(node, "bound", BINARY, {})))
    with pytest.raises(ApiError, match="trigger") as refused:
        client.functions.delete("bound")
    assert refused.value.code == "FunctionNotEmpty"


def test_the_command_line_shows_triggers_and_removes_them_with_their_function(
    node: NodeProcess, client: Client, deploy: Deploy, root: Path
) -> None:
    def run(*arguments: str) -> str:
        done = node.cli(*arguments)
        return done.stdout + done.stderr

    deploy(str(root / "examples/clock"))
    shown = run("triggers", "clock")
    assert "@every 1s" in shown
    assert "CRON_TZ=Europe/Berlin" in shown
    assert [one["triggerName"] for one in json.loads(run("triggers", "clock", "--json"))] == ["nightly", "often"]
    assert "nightly, often" in run("rm", "clock", "-y")
    with pytest.raises(ApiError):
        client.functions.get("clock")


def test_triggers_and_domains_survive_a_restart(tmp_path: Path, root: Path) -> None:
    tls_port = free_port()
    node = NodeProcess(tmp_path, "--tls-port", str(tls_port), "--domain", "fn.test")
    chain, key = certificate("www.example.com")
    node.start()
    try:
        with Client(node.credentials) as client:
            code = _zip(BINARY)
            client.functions.create("site", {"runtime": "python3", "handler": "index.handler"}, code)
            client.triggers.create("site", "web", "http", {"authType": "anonymous", "methods": ["POST"]})
            urls = client.triggers.get("site", "web").http_trigger
            assert urls is not None
            assert urls.url_internet == f"http://site.fn.test:{node.endpoint.rpartition(':')[2]}"
            _create_domain(client, chain, key)
        _check_site(node, tls_port, chain)
        assert node.stop() == 0
        assert key.splitlines()[1].encode() not in (node.data / "functory.db").read_bytes()
        node = NodeProcess(tmp_path, "--tls-port", str(tls_port), "--domain", "fn.test")
        node.start()
        _check_site(node, tls_port, chain)
    finally:
        node.stop()


def _zip(source: str) -> bytes:
    import io
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("index.py", source)
    return out.getvalue()


def _create_domain(client: Client, chain: str, key: str) -> None:
    content = {
        "domainName": "www.example.com",
        "protocol": "HTTP,HTTPS",
        "routeConfig": {"routes": [{"path": "/*", "functionName": "site"}]},
        "certConfig": {"certName": "c", "certificate": chain, "privateKey": key},
    }
    client._transport.json(dict, "CreateCustomDomain", "POST", "/2023-03-30/custom-domains", content=content)


def _check_site(node: NodeProcess, tls_port: int, chain: str) -> None:
    with httpx.Client(trust_env=False) as http:
        for host in ("site.fn.test", "www.example.com"):
            answer = http.post(node.endpoint, content=b"abc", headers={"host": host})
            assert (answer.status_code, answer.content) == (200, b"cba"), answer.text
        assert http.post(node.endpoint, content=b"abc", headers={"host": "none.fn.test"}).status_code == 404
    with httpx.Client(trust_env=False, verify=trusting(chain)) as secure:
        answer = secure.post(
            f"https://127.0.0.1:{tls_port}/",
            content=b"abc",
            headers={"host": "www.example.com"},
            extensions={"sni_hostname": "www.example.com"},
        )
        assert answer.content == b"cba"


def test_code_comes_by_the_way_of_s(node: NodeProcess, client: Client, remove: list[str]) -> None:
    """Token, object, function: signed as its clients sign, on the real node."""
    import hmac
    from email.utils import formatdate

    remove.append("by-oss")
    keys = node.credentials
    date = formatdate(usegmt=True)
    text = f"GET\n\n\n{date}\nx-fc-account-id:{keys.account_id}\n/2016-08-15/tempBucketToken"
    mark = base64.b64encode(hmac.digest(keys.access_key_secret.encode(), text.encode(), "sha256")).decode()
    with httpx.Client(trust_env=False) as http:
        headers = {
            "date": date,
            "x-fc-account-id": str(keys.account_id),
            "authorization": f"FC {keys.access_key_id}:{mark}",
        }
        grant = http.get(f"{node.endpoint}/2016-08-15/tempBucketToken", headers=headers).json()
        temporary, path = grant["credentials"], f"/{keys.account_id}/{grant['objectName']}"
        lines = f"x-oss-date:{date}\nx-oss-security-token:{temporary['SecurityToken']}\n"
        text = f"PUT\n\napplication/zip\n{date}\n{lines}/{grant['ossBucket']}{path}"
        mark = base64.b64encode(hmac.digest(temporary["AccessKeySecret"].encode(), text.encode(), "sha1")).decode()
        headers = {
            "host": f"{grant['ossBucket']}.oss-cn-hangzhou.aliyuncs.com",
            "content-type": "application/zip",
            "x-oss-date": date,
            "x-oss-security-token": temporary["SecurityToken"],
            "authorization": f"OSS {temporary['AccessKeyId']}:{mark}",
        }
        put = http.put(f"{node.endpoint}{path}", content=_zip(BINARY), headers=headers)
        assert put.status_code == 200, put.text
    content = {
        "functionName": "by-oss",
        "runtime": "python3",
        "handler": "index.handler",
        "code": {"ossBucketName": grant["ossBucket"], "ossObjectName": path[1:]},
    }
    client._transport.json(dict, "CreateFunction", "POST", "/2023-03-30/functions", content=content)
    answer = client.invoke("by-oss", json.dumps({"body": "abc", "isBase64Encoded": False}))
    assert json.loads(answer.payload)["body"] == base64.b64encode(b"cba").decode()


@pytest.mark.timeout(300)
def test_the_official_sdk_manages_triggers_and_domains(
    node: NodeProcess,
    sdk_python: Path,
    root: Path,
) -> None:
    script = root / "tests" / "e2e" / "sdk" / "triggers.py"
    done = subprocess.run(
        [str(sdk_python), str(script)], env=node.cloud_environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
