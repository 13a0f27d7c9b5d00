"""Every command on things around functions against a real node, as a user types it."""

from __future__ import annotations

import json
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from e2e.node_process import NodeProcess
from flows.test_control_domains import certificate

pytestmark = pytest.mark.server

NAME = "nouns"


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a function."""
    folder = tmp_path_factory.mktemp("nouns") / NAME
    folder.mkdir()
    (folder / "index.py").write_text("def handler(event, context):\n    return event\n")
    return folder


@pytest.fixture(scope="module")
def run(node: NodeProcess, code: Path) -> Iterator[Run]:
    """Runs `functory …` with the node's keys; the function is there."""
    run = partial(node.cli, cwd=Path.cwd(), environ=node.environment)
    run("deploy", str(code))
    yield run
    run("rm", NAME, "-y")


def said(run: Run, *arguments: str) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def test_versions_and_aliases(run: Run, code: Path) -> None:
    assert "version publish" in run("version", "ls", NAME).stderr
    run("version", "publish", NAME, "-d", "first")
    assert "VersionPublishError" in run("version", "publish", NAME, code=3).stderr
    run("alias", "create", NAME, "prod", "1", "-d", "live")
    refused = run("alias", "create", NAME, "other", "9", code=3).stderr
    assert "version ls" in refused, "what to do is said"
    assert "nothing is to be changed" in run("alias", "update", NAME, "prod", code=2).stderr.lower()
    assert "VERSION=SHARE" in run("alias", "update", NAME, "prod", "--weight", "x", code=2).stderr
    run("deploy", str(code), "--timeout", "9")
    run("version", "publish", NAME)
    run("alias", "update", NAME, "prod", "--weight", "2=0.25")
    assert "25% to 2" in run("alias", "ls", NAME).stdout
    assert said(run, "alias", "show", NAME, "prod")["additionalVersionWeight"] == {"2": 0.25}
    run("alias", "update", NAME, "prod", "--version", "2", "--weight", "")
    assert said(run, "alias", "show", NAME, "prod")["additionalVersionWeight"] == {}
    assert [one["versionId"] for one in said(run, "version", "ls", NAME)] == ["2", "1"]
    assert "VersionInUse" in run("version", "rm", NAME, "2", code=3).stderr
    run("alias", "rm", NAME, "prod")
    for number in ("1", "2"):
        run("version", "rm", NAME, number)
    assert said(run, "version", "ls", NAME) == []


def test_configurations(run: Run) -> None:
    run("async", "set", NAME, "--retries", "1", "--task", "--on-failure", "http://127.0.0.1:1/x")
    assert "failure: http://127.0.0.1:1/x" in run("async", "ls", NAME).stdout
    assert said(run, "async", "show", NAME)["maxAsyncRetryAttempts"] == 1
    run("async", "set", NAME)
    assert said(run, "async", "show", NAME)["maxAsyncRetryAttempts"] == 3, "what is not said gets its default"
    assert "InvalidArgument" in run("async", "set", NAME, "--retries", "99", code=3).stderr
    run("async", "rm", NAME)
    assert "defaults hold" in run("async", "show", NAME, code=3).stderr
    run("concurrency", "set", NAME, "3")
    assert "3" in run("concurrency", "ls").stdout
    assert "3" in run("concurrency", "show", NAME).stdout
    run("concurrency", "rm", NAME)
    assert "concurrency set" in run("concurrency", "ls", NAME).stderr
    day = '{"scheduledActions": [{"name": "day", "scheduleExpression": "cron(0 0 8 * * *)", "target": 2}]}'
    run("provision", "set", NAME, "0", "--fields", day)
    assert said(run, "provision", "show", NAME)["scheduledActions"][0]["name"] == "day"
    assert said(run, "provision", "ls", NAME)[0]["target"] == 0
    run("provision", "rm", NAME)
    assert "none is set" in run("provision", "show", NAME).stdout
    run("scaling", "set", NAME, "0", "--fields", '{"enableMixMode": true}')
    assert "enable mix mode" in run("scaling", "show", NAME).stdout
    assert NAME in run("scaling", "ls").stdout
    run("scaling", "rm", NAME)
    assert "JSON object" in run("scaling", "set", NAME, "0", "--fields", "{", code=2).stderr
    assert "integer" in run("concurrency", "set", NAME, "many", code=2).stderr
    assert "FunctionNotFound" in run("provision", "set", "none", "1", code=3).stderr


def test_triggers(run: Run) -> None:
    made = said(run, "trigger", "create", NAME, "web", "http", "--auth", "anonymous", "--methods", "get")
    assert json.loads(made["triggerConfig"]) == {"methods": ["GET"], "authType": "anonymous"}
    run("trigger", "create", NAME, "tick", "timer", "--cron", "@every 5m", "--payload", "x")
    run("trigger", "update", NAME, "tick", "--disable", "-d", "paused")
    assert "(off)" in run("trigger", "ls", NAME).stdout
    assert json.loads(said(run, "trigger", "show", NAME, "tick")["triggerConfig"])["payload"] == "x", "the rest stays"
    assert "GET" in run("trigger", "show", NAME, "web").stdout
    assert "not supported" in run("trigger", "create", NAME, "q", "oss", code=3).stderr
    assert "soon" in run("trigger", "create", NAME, "q", "timer", "--cron", "soon", code=3).stderr
    assert "say what" in run("trigger", "update", NAME, "web", code=2).stderr
    for name in ("web", "tick"):
        run("trigger", "rm", NAME, name)
    assert "trigger ls" in run("trigger", "rm", NAME, "web", code=3).stderr
    unsaid = run("trigger", "create", NAME, "unsaid", "http").stderr
    assert "(function)" in unsaid, "callers sign unless it is said otherwise"
    run("trigger", "rm", NAME, "unsaid")


def test_domains(run: Run, tmp_path: Path) -> None:
    site = "nouns.example.com"
    run("domain", "create", site, "--route", f"/*={NAME}", "--route", f"GET,post /api/*={NAME}@LATEST")
    assert said(run, "domain", "show", site)["routeConfig"]["routes"] == [
        {"path": "/*", "functionName": NAME},
        {"path": "/api/*", "functionName": NAME, "qualifier": "LATEST", "methods": ["GET", "POST"]},
    ]
    assert "DomainNameAlreadyExists" in run("domain", "create", site, "--route", f"/={NAME}", code=3).stderr
    chain, key = certificate(site)
    (tmp_path / "c.pem").write_text(chain)
    (tmp_path / "k.pem").write_text(key)
    files = ("--cert", str(tmp_path / "c.pem"), "--key", str(tmp_path / "k.pem"))
    run("domain", "update", site, "--protocol", "HTTP,HTTPS", *files, "--tls-min", "TLSv1.2", "--cors-origin", "*")
    shown = run("domain", "show", site).stdout
    assert "TLSv1.2" in shown
    assert "allowOrigins *" in shown
    assert "PRIVATE" not in run("domain", "show", site, "--json").stdout
    run("domain", "update", site, "--drop-route", "/*", "--add-route", f"/new={NAME}")
    assert "/new" in run("domain", "ls", "nouns.").stdout
    assert "no route /x" in run("domain", "update", site, "--drop-route", "/x", code=2).stderr
    assert "both --cert and --key" in run("domain", "update", site, *files[:2], code=2).stderr
    assert "cannot be read" in run("domain", "update", site, "--cert", "none", "--key", "none", code=2).stderr
    assert "PATH=FUNCTION" in run("domain", "create", "a.b", "--route", "x", code=2).stderr
    keys = '{"jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "alg": "HS256"}]}}'
    run("domain", "update", site, "--auth", "jwt", "--jwt", keys)
    assert said(run, "domain", "show", site)["authConfig"]["authType"] == "jwt"
    run("domain", "rm", site)
    assert "domain ls" in run("domain", "show", site, code=3).stderr


def test_layers_and_tags(run: Run, tmp_path: Path) -> None:
    (tmp_path / "words" / "python").mkdir(parents=True)
    (tmp_path / "words" / "python" / "word.py").write_text("WORD = 1\n")
    made = said(run, "layer", "publish", "nouns_words", str(tmp_path / "words"), "--runtime", "python3", "-d", "some")
    assert made["version"] == 1
    archive = tmp_path / "w.zip"
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("python/word.py", "WORD = 2\n")
    run("layer", "publish", "nouns_words", str(archive))
    assert [one["version"] for one in said(run, "layer", "ls", "nouns_words")] == [2, 1]
    assert "nouns_words" in run("layer", "ls").stdout
    assert "python3" in run("layer", "show", made["layerVersionArn"]).stdout
    assert "python3" in run("layer", "show", "nouns_words", "1").stdout
    assert "which version" in run("layer", "show", "nouns_words", code=2).stderr.lower()
    for number in ("1", "2"):
        run("layer", "rm", "nouns_words", number)
    assert "layer ls" in run("layer", "rm", "nouns_words", "1", code=3).stderr
    run("tag", "add", NAME, "team=red", "floor=3")
    assert [one["TagKey"] for one in said(run, "tag", "ls", NAME)] == ["floor", "team"]
    assert [one["TagValue"] for one in said(run, "tag", "ls", "--with", "team=red")] == ["3", "red"]
    run("tag", "rm", NAME, "team", "floor")
    assert "tag add" in run("tag", "ls", NAME).stderr
    assert "KEY=VALUE" in run("tag", "add", NAME, "x", code=2).stderr


def test_the_switch_instances_and_code(run: Run, tmp_path: Path) -> None:
    run("disable", NAME, "--reason", "repair")
    assert "repair" in run("invoke", NAME, code=3).stderr
    run("enable", NAME)
    assert run("invoke", NAME, "-e", "x").stdout == "x"
    assert said(run, "instances", NAME)[0]["status"] == "Running"
    assert "INSTANCE" in run("instances", NAME).stdout
    run("code", NAME, "-o", str(tmp_path / "got.zip"))
    with zipfile.ZipFile(tmp_path / "got.zip") as archive:
        assert archive.namelist() == ["index.py"]
    assert "folder" in run("code", NAME, "-o", str(tmp_path), code=2).stderr
    assert "FunctionNotFound" in run("code", "none", code=3).stderr
