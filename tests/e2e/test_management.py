"""Versions, kept instances, the switch, accounts and keys on a real node, and over its restarts."""

from __future__ import annotations

import io
import json
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from e2e.node_process import NodeProcess
from functory.sdk import ApiError, Client, Credentials

pytestmark = pytest.mark.server

FC = "/2023-03-30/functions"
PATIENCE_S = 20


def zip_of(code: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("index.py", code)
    return out.getvalue()


def make(client: Client, name: str, code: str, **fields: Any) -> None:
    client.functions.create(name, {"runtime": "python3", "handler": "index.handler", **fields}, zip_of(code))


def ask(client: Client, method: str, path: str, content: object = None) -> Any:
    """Any call of the API; its answer."""
    body = b"" if content is None else msgspec.json.encode(content)
    reply = client._transport.call("Test", method, path, body=body)
    return json.loads(reply.body or b"null")


def answering(word: str) -> str:
    return f"def handler(event, context):\n    return b'{word}'\n"


def kept(client: Client, name: str, qualifier: str, wanted: int) -> None:
    """Returns once so many instances stand ready; they are asked for until then."""
    until = time.monotonic() + PATIENCE_S
    while True:
        path = f"{FC}/{name}/provision-config"
        query = {"qualifier": qualifier}
        reply = client._transport.call("GetProvisionConfig", "GET", path, query=query)
        config = json.loads(reply.body)
        if config["current"] == wanted:
            return
        assert time.monotonic() < until, config


def test_versions_aliases_and_kept_instances_outlive_a_restart(tmp_path: Path) -> None:
    own = NodeProcess(tmp_path)
    own.start()
    with Client(own.credentials) as client:
        make(client, "shop", answering("one"))
        ask(client, "POST", f"{FC}/shop/versions")
        client.functions.update("shop", {}, zip_of(answering("two")))
        ask(client, "POST", f"{FC}/shop/aliases", {"aliasName": "prod", "versionId": "1"})
        reply = client._transport.call(
            "Put", "PUT", f"{FC}/shop/provision-config", query={"qualifier": "prod"}, body=b'{"target": 2}'
        )
        assert json.loads(reply.body)["target"] == 2
        kept(client, "shop", "prod", 2)
    assert own.stop() == 0
    own = NodeProcess(tmp_path)
    own.start()
    with Client(own.credentials) as client:
        kept(client, "shop", "prod", 2)
        assert [client.invoke("shop", qualifier=one).payload for one in ("prod", "1", "LATEST")] == [b"one"] * 2 + [
            b"two"
        ]
        with pytest.raises(ApiError) as caught:
            client.invoke("shop", qualifier="2")
        assert caught.value.code == "VersionNotFound"
        instances = ask(client, "GET", f"{FC}/shop/instances")["instances"]
        assert sorted(one["versionId"] for one in instances) == ["0", "1", "1"]
    assert own.stop() == 0


def test_a_version_whose_function_went_on_still_starts_after_the_node_swept_its_code(tmp_path: Path) -> None:
    own = NodeProcess(tmp_path)
    own.start()
    with Client(own.credentials) as client:
        make(client, "old", answering("first"))
        ask(client, "POST", f"{FC}/old/versions")
        client.functions.update("old", {}, zip_of(answering("second")))
    for _ in range(2):  # what was uploaded lately is spared once
        assert own.stop() == 0
        own = NodeProcess(tmp_path)
        own.start()
    with Client(own.credentials) as client:
        assert client.invoke("old", qualifier="1").payload == b"first"
    assert own.stop() == 0


def test_disabling_ends_what_runs_if_asked_and_nothing_runs_until_enabled(node: NodeProcess, client: Client) -> None:
    waits = "import time\n\ndef handler(event, context):\n    time.sleep(30 if event else 0)\n    return b'done'\n"
    make(client, "switched", waits, timeout=60)
    found: list[Any] = []

    def call() -> None:
        with Client(node.credentials) as own:
            try:
                found.append(own.invoke("switched", b"long"))
            except ApiError as refusal:
                found.append(refusal)

    thread = threading.Thread(target=call)
    thread.start()
    until = time.monotonic() + PATIENCE_S
    while ask(client, "GET", "/functory/v1/node")["instances"]["busy"] == 0:
        assert time.monotonic() < until
    ask(client, "POST", f"{FC}/switched/invoke/disable", {"reason": "repair", "abortOngoingRequest": True})
    thread.join(10)
    assert not thread.is_alive(), "the running call was ended"
    assert isinstance(found[0], ApiError) or found[0].error_type
    with pytest.raises(ApiError) as caught:
        client.invoke("switched")
    assert (caught.value.status, caught.value.code) == (403, "FunctionInvocationDisabled")
    assert "repair" in str(caught.value)
    ask(client, "POST", f"{FC}/switched/invoke/enable")
    assert client.invoke("switched").payload == b"done"
    client.functions.delete("switched")


def test_reserved_concurrency_of_nothing_lets_nothing_run(client: Client) -> None:
    make(client, "reserved", answering("ran"))
    ask(client, "PUT", f"{FC}/reserved/concurrency", {"reservedConcurrency": 0})
    with pytest.raises(ApiError) as caught:
        client.invoke("reserved")
    assert (caught.value.status, caught.value.code) == (429, "ResourceExhausted")
    ask(client, "DELETE", f"{FC}/reserved/concurrency")
    assert client.invoke("reserved").payload == b"ran"
    client.functions.delete("reserved")


def test_a_change_that_no_instance_sees_leaves_the_instances_alone(client: Client) -> None:
    make(client, "labelled", answering("ran"))
    first = client.invoke("labelled")
    arn = ask(client, "GET", f"{FC}/labelled")["functionArn"]
    tag = {"ResourceId": [arn], "ResourceType": "function", "Tag": [{"Key": "team", "Value": "red"}]}
    ask(client, "POST", "/2023-03-30/tags-v2", tag)
    client.functions.update("labelled", {"description": "says it ran"})
    assert client.invoke("labelled").instance_id == first.instance_id
    client.functions.update("labelled", {"timeout": 9})
    assert client.invoke("labelled").instance_id != first.instance_id
    client.functions.delete("labelled")


def test_instances_that_cannot_be_kept_say_why(client: Client) -> None:
    make(client, "halting", "import nothing_of_this_name\n")
    ask(client, "PUT", f"{FC}/halting/provision-config", {"target": 1})
    until = time.monotonic() + PATIENCE_S
    while (
        "nothing_of_this_name" not in (config := ask(client, "GET", f"{FC}/halting/provision-config"))["currentError"]
    ):
        assert time.monotonic() < until, config
    assert config["current"] == 0
    ask(client, "DELETE", f"{FC}/halting/provision-config")
    client.functions.delete("halting")


def test_accounts_do_not_see_each_other(node: NodeProcess, client: Client) -> None:
    make(client, "private", "def handler(event, context):\n    print('mine')\n    return b'mine'\n")
    mine = client.invoke("private")
    client.requests.get(mine.request_id, wait_s=PATIENCE_S)
    made = ask(client, "POST", "/functory/v1/accounts", {"name": "team blue"})
    key = made["key"]
    theirs = Credentials(
        endpoint=node.endpoint,
        access_key_id=key["accessKeyId"],
        access_key_secret=key["accessKeySecret"],
    )
    with Client(theirs) as other:
        assert list(other.functions.list()) == []
        make(other, "private", "def handler(event, context):\n    print('theirs')\n    return b'theirs'\n")
        answer = other.invoke("private")
        assert answer.payload == b"theirs"
        other.requests.get(answer.request_id, wait_s=PATIENCE_S)
        assert [entry.text for entry in other.function_logs("private")] == ["theirs\n"]
        with pytest.raises(ApiError):
            other.requests.get(mine.request_id)
        other.functions.delete("private")
    assert [entry.text for entry in client.function_logs("private")] == ["mine\n"]
    ask(client, "DELETE", f"/functory/v1/accounts/{made['accountId']}")
    with Client(theirs) as other, pytest.raises(ApiError) as caught:
        list(other.functions.list())
    assert caught.value.code == "InvalidAccessKeyID"
    client.functions.delete("private")


def test_keys_are_made_listed_and_switched_off_at_the_command_line(node: NodeProcess, client: Client) -> None:
    make(client, "guarded", answering("in"))
    made = json.loads(node.cli("keys", "create", "deploy", "--label", "ci", "--json").stdout)
    mine = Credentials(
        endpoint=node.endpoint, access_key_id=made["accessKeyId"], access_key_secret=made["accessKeySecret"]
    )
    assert "ci" in node.cli("keys", "ls").stdout
    with Client(mine) as ci:
        assert ci.invoke("guarded").payload == b"in"
        token = ci.create_token(["guarded"]).token
        bearer = {"authorization": f"Bearer {token}"}
        path = f"{FC}/guarded/invocations"
        assert client._transport.call("Invoke", "POST", path, headers=bearer, signed=False).body == b"in"
        with pytest.raises(ApiError) as caught:
            ci.keys.list()
        assert caught.value.code == "AccessDenied"
        node.cli("keys", "off", made["accessKeyId"])
        for attempt in (
            lambda: ci.invoke("guarded"),
            lambda: client._transport.call("Invoke", "POST", path, headers=bearer, signed=False),
        ):
            with pytest.raises(ApiError) as caught:
                attempt()
            assert caught.value.status == 403, "a key that is off takes its tokens along"
        new = json.loads(node.cli("keys", "rotate", made["accessKeyId"], "--json").stdout)
        assert (new["scope"], new["label"]) == ("deploy", "ci")
        node.cli("keys", "rm", made["accessKeyId"])
        node.cli("keys", "rm", new["accessKeyId"])
    until = time.monotonic() + PATIENCE_S
    while "DeleteKey" not in (shown := node.cli("audit", "-n", "5").stdout) and "DELETE /functory/v1/keys" not in shown:
        assert time.monotonic() < until, shown
    client.functions.delete("guarded")


def test_rotating_the_first_key_hands_the_new_one_to_this_machines_clients(tmp_path: Path) -> None:
    own = NodeProcess(tmp_path)
    own.start()
    first = own.credentials
    own.cli("keys", "rotate", first.access_key_id, "--now")
    second = own.credentials
    assert second.access_key_id != first.access_key_id
    with Client(second) as client:
        assert [key.active for key in client.keys.list() if key.access_key_id == first.access_key_id] == [False]
    with Client(first) as client, pytest.raises(ApiError):
        client.keys.list()
    assert own.stop() == 0
    again = NodeProcess(tmp_path)
    again.start()
    assert again.credentials.access_key_id == second.access_key_id
    assert again.stop() == 0
