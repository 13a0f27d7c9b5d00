"""`functory.yaml` and `s.yaml` on a real node: planned, deployed, deployed again, changed, pruned, removed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.node_process import NodeProcess
from functory.sdk import Client

pytestmark = pytest.mark.server

Run = Callable[..., "subprocess.CompletedProcess[str]"]
HANDLER = "import word\n\ndef handler(event, context):\n    return word.WORD.encode()\n"
OURS = """
vars:
  name: ${env.NAME:-yaml-shop}
layers:
  yaml_words: {code: ./words, runtimes: [python3]}
functions:
  ${vars.name}:
    code: ./shop
    memory: 128
    env: {SECRET: hidden}
    layers: [yaml_words]
    publish: true
    aliases:
      prod: {version: 1, weights: {latest: 0.25}, async: {retries: 2}}
      edge: latest
    async: {retries: 1, max_age: 60, task: true}
    reserved_concurrency: 3
    provision: {target: 0}
    scaling: {min: 0}
    tags: {team: red}
    triggers:
      web: {type: http, auth: anonymous, methods: [GET]}
      nightly: {type: timer, cron: "0 0 4 * * *"}
domains:
  yaml.example.com:
    routes: [{path: /*, function: "${vars.name}", qualifier: edge}]
    cors: {origins: ["*"]}
"""
THEIRS = """
edition: 3.0.0
name: app
vars: {region: cn-hangzhou}
resources:
  shop:
    component: fc3
    props:
      region: ${vars.region}
      functionName: ${env('NAME', 'fc3-shop')}
      runtime: python3
      handler: index.handler
      code: ./shop
      memorySize: 512
      cpu: 0.35
      diskSize: 512
      internetAccess: true
      instanceConcurrency: 1
      logConfig: auto
      nasConfig: {userId: 0, groupId: 0, mountPoints: []}
      role: acs:ram::1:role/shop
      instanceLifecycleConfig: {initializer: {handler: index.start, timeout: 5}}
      tags: [{key: team, value: blue}]
      asyncInvokeConfig: {maxAsyncRetryAttempts: 0, asyncTask: true}
      concurrencyConfig: {reservedConcurrency: 2}
      provisionConfig: {defaultTarget: 0, alwaysAllocateCPU: false, scheduledActions: [], targetTrackingPolicies: []}
      customDomain: {domainName: fc3.example.com, protocol: HTTP, route: {path: /shop/*}}
      triggers:
        - triggerName: web
          triggerType: http
          triggerConfig: {authType: anonymous, methods: [GET, POST]}
"""


@pytest.fixture
def folder(node: NodeProcess, tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "index.py").write_text(HANDLER)
    (tmp_path / "words" / "python").mkdir(parents=True)
    (tmp_path / "words" / "python" / "word.py").write_text("WORD = 'one'\n")
    return tmp_path


@pytest.fixture
def run(node: NodeProcess) -> Run:
    """`functory …` with the node's keys."""
    return lambda *arguments, **how: node.cli(*arguments, cwd=Path.cwd(), environ=node.environment, **how)


def planned(run: Run, source: str, *more: str) -> dict[str, str]:
    """What would be done to each thing that would not stay as it is."""
    steps = json.loads(run("deploy", source, "--plan", "--json", *more).stdout)
    return {f"{one['noun']} {one['name']}": one["action"] for one in steps if one["action"] != "keep"}


def test_our_file_is_planned_deployed_kept_changed_pruned_and_removed(run: Run, folder: Path, client: Client) -> None:
    (folder / "functory.yaml").write_text(OURS)
    source = str(folder)
    plan = planned(run, source)
    assert set(plan.values()) == {"create"}
    assert {"layer yaml_words", "function yaml-shop", "alias prod", "trigger web", "domain yaml.example.com"} <= set(
        plan
    )
    assert "hidden" not in run("deploy", source, "--plan").stdout, "values of variables are secrets"
    assert not list(client.functions.list("yaml-shop")), "a plan changes nothing"

    run("deploy", source)
    assert client.invoke("yaml-shop").payload == b"one"
    assert client.invoke("yaml-shop", qualifier="prod").payload == b"one"
    assert client.async_configs.get("yaml-shop", "prod")["maxAsyncRetryAttempts"] == 2
    assert client.concurrency.get("yaml-shop")["reservedConcurrency"] == 3
    assert planned(run, source) == {}, "what is as it shall be is left alone"
    before = client.functions.official("yaml-shop")
    run("deploy", source)
    assert client.functions.official("yaml-shop") == before

    (folder / "shop" / "index.py").write_text(HANDLER + "# changed\n")
    (folder / "functory.yaml").write_text(OURS.replace("[GET]", "[GET, POST]").replace("retries: 1", "retries: 4"))
    changes = planned(run, source)
    assert changes == {
        "function yaml-shop": "update", "version 2": "create", "alias prod": "update", "alias edge": "update",
        "async LATEST": "update", "trigger web": "update",
    }  # fmt: skip
    run("deploy", source)
    assert client.aliases.get("yaml-shop", "edge").version_id == "2"
    assert client.aliases.get("yaml-shop", "prod").additional_version_weight == {"2": 0.25}
    assert planned(run, source) == {}

    (folder / "words" / "python" / "word.py").write_text("WORD = 'two'\n")
    assert planned(run, source) == {"layer yaml_words": "update"}, "the new layer's ARN is not known before"
    run("deploy", source)
    assert client.invoke("yaml-shop").payload == b"two"

    fewer = "\n".join(line for line in OURS.splitlines() if "nightly" not in line and "reserved" not in line)
    (folder / "functory.yaml").write_text(fewer.replace("[GET]", "[GET, POST]").replace("retries: 1", "retries: 4"))
    assert planned(run, source) == {}
    assert planned(run, source, "--prune") == {"trigger nightly": "delete", "concurrency LATEST": "delete"}
    run("deploy", source, "--prune")
    assert [one.trigger_name for one in client.triggers.list("yaml-shop")] == ["web"]

    assert "1 domain" not in run("remove", source, "--plan").stdout
    assert "confirm with -y" in run("remove", source, code=2).stderr
    run("remove", source, "-y")
    assert not list(client.functions.list("yaml-shop"))
    assert not list(client.domains.list("yaml."))
    assert not list(client.layers.versions("yaml_words"))
    run("remove", source, "-y")


def test_the_file_of_serverless_devs_is_deployed_with_all_around_it(run: Run, folder: Path, client: Client) -> None:
    (folder / "shop" / "index.py").write_text(
        "def start(context):\n    pass\n\ndef handler(event, context):\n    return b'fc3'\n"
    )
    (folder / "s.yaml").write_text(THEIRS)
    source = str(folder / "s.yaml")
    said = run("deploy", source).stderr
    assert "logConfig: auto is not deployed" in said
    assert client.invoke("fc3-shop").payload == b"fc3"
    official = client.functions.official("fc3-shop")
    assert official["role"] == "acs:ram::1:role/shop"
    assert official["instanceLifecycleConfig"]["initializer"] == {"handler": "index.start", "timeout": 5}
    assert [(tag.tag_key, tag.tag_value) for tag in client.tags.list(["fc3-shop"])] == [("team", "blue")]
    assert client.async_configs.get("fc3-shop")["asyncTask"] is True
    assert client.domains.get("fc3.example.com").routes == [{"path": "/shop/*", "functionName": "fc3-shop"}]
    assert planned(run, source) == {}

    other = {"path": "/other", "functionName": "fc3-shop", "methods": ["GET"]}
    there = client.domains.get("fc3.example.com").routes
    client.domains.update("fc3.example.com", {"routeConfig": {"routes": [*there, other]}})
    assert planned(run, source) == {}, "routes of others stay"
    run("remove", source, "-y")
    assert not list(client.functions.list("fc3-shop"))


def test_a_refusal_in_the_middle_says_why_and_the_next_deployment_goes_on(
    run: Run, folder: Path, client: Client
) -> None:
    text = "functions:\n  half: {code: ./shop, triggers: {t: {type: timer, cron: soon}}}\n"
    (folder / "functory.yaml").write_text(text)
    (folder / "shop" / "index.py").write_text("def handler(event, context):\n    return event\n")
    refused = run("deploy", str(folder), code=3).stderr
    assert "soon" in refused
    assert "InvalidArgument" in refused
    (folder / "functory.yaml").write_text(text.replace("soon", '"@every 5m"'))
    assert planned(run, str(folder)) == {"trigger t": "create"}
    run("deploy", str(folder))
    run("remove", str(folder), "-y")


def test_a_wrong_file_is_pointed_at_and_nothing_is_sent(run: Run, folder: Path, client: Client) -> None:
    (folder / "functory.yaml").write_text("functions:\n  shop:\n    code: ./shop\n    memroy: 3\n")
    wrong = run("deploy", str(folder), code=2).stderr
    assert "functory.yaml:4: functions.shop.memroy" in wrong
    assert "'memory'" in wrong
    assert "--plan" in run("deploy", str(folder / "shop"), "--json", code=2).stderr
    (folder / "functory.yaml").write_text("functions: {a: {code: ./shop}, b: {code: ./shop}}\n")
    assert "2 functions" in run("deploy", str(folder), "--memory", "128", code=2).stderr


def test_a_folder_is_packed_only_if_it_is_named(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert "neither functory.yaml" in run("deploy", code=2).stderr
    (folder / "functory.yaml").write_text("functions:\n  here:\n    code: ./shop\n")
    assert json.loads(run("deploy", "--plan", "--json").stdout)[0]["name"] == "here"


def test_secrets_are_not_in_a_plan(run: Run, folder: Path) -> None:
    (folder / "functory.yaml").write_text(
        "functions:\n  picture:\n    image: example.com/p:1\n    env: {KEY: hidden}\n"
        "    official: {juiceFsConfig: {mountPoints: [{token: hidden}]}}\n"
    )
    for arguments in (("--plan",), ("--plan", "--json")):
        said = run("deploy", str(folder), *arguments).stdout
        assert "example.com/p:1" in said
        assert "hidden" not in said


def test_requirements_of_a_function_that_is_not_python_are_refused(run: Run, folder: Path) -> None:
    (folder / "more.txt").write_text("idna\n")
    (folder / "functory.yaml").write_text(
        "functions:\n  odd: {code: ./shop, runtime: nodejs20, handler: index.handler, requirements: more.txt}\n"
    )
    assert "its runtime is nodejs20" in run("deploy", str(folder), code=2).stderr
