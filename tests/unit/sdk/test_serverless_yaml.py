"""What is read of an `s.yaml`."""

from __future__ import annotations

from pathlib import Path

import pytest

from functory.sdk import serverless_yaml
from functory.sdk.errors import ProjectError

WHOLE = """
edition: 3.0.0
name: shop
vars:
  region: cn-hangzhou
  base: {memory: 256, stage: "${env('STAGE', 'dev')}"}
resources:
  checkout:
    component: fc3
    props:
      region: ${vars.region}
      functionName: checkout-${vars.base.stage}
      runtime: python3.10
      handler: index.handler
      memorySize: ${vars.base.memory}
      cpu: 0.35
      diskSize: 512
      internetAccess: true
      instanceLifecycleConfig:
        initializer: {handler: index.start, timeout: 3}
      environmentVariables: {A: 1, B: true, C: "x ${vars.region} y", D: "${this.name}"}
      code: {src: ./code}
      triggers:
        - triggerName: web
          triggerType: http
          qualifier: LATEST
          triggerConfig: {authType: anonymous, methods: [GET]}
        - triggerName: nightly
          triggerType: timer
          triggerConfig: {cronExpression: "@every 1h", enable: true, payload: ""}
  second:
    component: fc3@0.1.0
    props:
      functionName: after-${resources.checkout.props.functionName}
      environmentVariables: {SAME: "${this.props.timeout}"}
      timeout: 9
"""


def load(tmp_path: Path, text: str, **environ: str) -> list[serverless_yaml.Resource]:
    (tmp_path / "s.yaml").write_text(text)
    return serverless_yaml.load(tmp_path / "s.yaml", environ)


def test_a_whole_file_becomes_functions_with_their_triggers(tmp_path: Path) -> None:
    first, second = load(tmp_path, WHOLE, STAGE="test")
    assert first.project.name == "checkout-test"
    assert (first.project.memory, first.project.cpu, first.project.initializer) == (256, 0.35, "index.start")
    assert first.project.environment == {"A": "1", "B": "true", "C": "x cn-hangzhou y", "D": "checkout"}
    assert first.source == tmp_path / "code"
    assert first.passed_over == ("diskSize", "internetAccess")
    assert first.project.triggers is not None
    web, nightly = first.project.triggers
    assert web.full_config() == {"authType": "anonymous", "methods": ["GET"]}
    assert nightly.full_config() == {"cronExpression": "@every 1h", "enable": True, "payload": ""}
    assert second.project.name == "after-checkout-test"
    assert second.project.environment == {"SAME": "9"}
    assert load(tmp_path, WHOLE)[0].project.name == "checkout-dev"


PROPS = "resources: {f: {component: fc3, props: {functionName: f, description: %s}}}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "mapping"),
        ("[1]", "mapping"),
        ("a: [", "YAML"),
        ("!!python/object/apply:os.system ['true']", "YAML"),
        ("resources: {}", "no resource"),
        ("resources: {f: 1}", "props"),
        ("resources: {f: {component: oss, props: {}}}", "component"),
        ("resources: {f: {component: fc3, props: {memorySize: much}}}", "memory"),
        ("resources: {f: {component: fc3, props: {code: [1]}}}", "code"),
        ("resources: {f: {component: fc3, props: {triggers: [{triggerName: a}]}}}", "triggerName"),
        ("resources: {f: {component: fc3, props: {triggers: [1]}}}", "triggerName"),
        (PROPS % "\"${env('NOPE')}\"", "NOPE"),
        (PROPS % '"${vars.nope}"', "nowhere"),
        (PROPS % '"${file(./secret)}"', "not known"),
        (PROPS % '"${this.props.description}"', "without end"),
        (PROPS % '"a ${this.props.description}"', "without end"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ProjectError, match=says):
        load(tmp_path, text)


def test_aliases_cannot_make_the_file_endless(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 8)]
    lines += ["resources: {f: {component: fc3, props: {functionName: f, description: *a7}}}"]
    with pytest.raises(ProjectError, match="too large"):
        load(tmp_path, "\n".join(lines))


def test_the_toml_of_a_folder_comes_first_unless_the_file_is_named(tmp_path: Path) -> None:
    assert serverless_yaml.find(tmp_path) is None
    (tmp_path / "s.yaml").write_text(WHOLE)
    assert serverless_yaml.find(tmp_path) == tmp_path / "s.yaml"
    (tmp_path / "functory.toml").write_text("")
    assert serverless_yaml.find(tmp_path) is None
    assert serverless_yaml.find(tmp_path / "s.yaml") == tmp_path / "s.yaml"
