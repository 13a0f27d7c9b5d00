"""Serverless Devs: its component's calls by the libraries that it makes them with, and its parser of `s.yaml`.

The command `s` fetches its component fc3 from its vendor's registry at run time; the component is in no package that
could be installed for a test. What can be installed is what it is made of.
"""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from e2e.node_process import NodeProcess, clean_environment
from e2e.test_official_sdk import HERE, STEP_TIMEOUT_S, sdk_node  # noqa: F401 (a fixture)
from functory.sdk import Client, serverless_yaml

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]

S_YAML = """
edition: 3.0.0
name: app
access: default
vars:
  region: cn-hangzhou
  n: 5
  of: {list: [1, 2], map: {yes: true}}
template:
  base: {runtime: python3, memorySize: 128, environmentVariables: {A: base, B: base}, timeout: 7}
resources:
  one:
    component: fc3
    extend: {name: base, ignore: [timeout]}
    props:
      region: ${vars.region}
      functionName: f-${env('STAGE', 'dev')}
      description: ${env('SET')}
      environmentVariables:
        A: own
        C: x ${vars.n} y
        D: ${this.name}
        E: ${base64('hi')}
        F: ${file('./query.sql')}
        G: ${json(file('./more.json')).k}
        H: ${this.props.region}
        I: ${str(vars.n)}
        J: ${vars.of.map.yes}
      code: ./shop
  two:
    component: fc3
    props:
      region: ${vars.region}
      functionName: g-${resources.one.props.region}
      timeout: ${vars.n}
      description: ${env('DOT')}
"""


def _node(script: str, folder: Path, **environ: str) -> str:
    environment = clean_environment() | {"NO_PROXY": "127.0.0.1,localhost"} | environ
    done = subprocess.run(
        ["node", str(HERE / script)],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=STEP_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout


def test_the_components_calls_from_deploy_to_remove_are_served(
    node: NodeProcess,
    client: Client,
    sdk_node: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    sources = {"first": "def handler(event, context):\n    return event\n"}
    sources["second"] = "def handler(event, context):\n    return b'second'\n"
    for name, source in sources.items():
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            archive.writestr("index.py", source)
    keys = node.credentials
    _node(
        "s_path.mjs",
        tmp_path,
        SDK_HOME=str(sdk_node),
        ENDPOINT=node.endpoint.removeprefix("http://"),
        ACCESS_KEY_ID=keys.access_key_id,
        ACCESS_KEY_SECRET=keys.access_key_secret,
        ACCOUNT_ID=keys.account_id,
        FC_CODE_TEMP_OSS_ENDPOINT=node.endpoint,
        FIRST_ZIP=str(tmp_path / "first.zip"),
        SECOND_ZIP=str(tmp_path / "second.zip"),
    )
    assert not list(client.functions.list("s-path")), "remove leaves nothing"


def test_an_s_yaml_is_read_as_the_official_parser_reads_it(
    sdk_node: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    (tmp_path / "s.yaml").write_text(S_YAML)
    (tmp_path / "query.sql").write_text("select 1")
    (tmp_path / "more.json").write_text('{"k": 7}')
    (tmp_path / ".env").write_text("DOT=dotted\n")
    printed = _node(
        "parse_s_yaml.cjs",
        tmp_path,
        SDK_HOME=str(sdk_node),
        S_YAML=str(tmp_path / "s.yaml"),
        SET="value",
        HOME=str(tmp_path),
    )
    official: list[dict[str, Any]] = json.loads(printed.rpartition("@@")[2])
    ours = serverless_yaml.load(tmp_path / "s.yaml", {**os.environ, "SET": "value"}).units
    for theirs, unit in zip(official, ours, strict=True):
        props, project = theirs["props"], unit.project
        assert project.name == props["functionName"]
        assert (project.timeout, project.memory) == (props.get("timeout"), props.get("memorySize"))
        assert project.description == props["description"]
        environment = {key: _text(value) for key, value in props.get("environmentVariables", {}).items()}
        assert (project.environment or {}) == environment
    assert ours[0].project.environment is not None
    assert ours[0].project.environment["G"] == "7"


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
