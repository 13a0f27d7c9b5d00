"""What is read of an `s.yaml`."""

from __future__ import annotations

from pathlib import Path

import pytest

from functory.sdk import serverless_props, serverless_yaml, stack
from functory.sdk.errors import ProjectError
from functory.sdk.units import Stack

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


def load(tmp_path: Path, text: str, **environ: str) -> Stack:
    (tmp_path / "s.yaml").write_text(text)
    return serverless_yaml.load(tmp_path / "s.yaml", environ, {"AccountID": "1234"})


def test_a_whole_file_becomes_functions_with_their_triggers(tmp_path: Path) -> None:
    first, second = load(tmp_path, WHOLE, STAGE="test").units
    assert first.project.name == "checkout-test"
    assert (first.project.memory, first.project.cpu, first.project.disk) == (256, 0.35, 512)
    hooks = {"initializer": {"handler": "index.start", "timeout": 3}}
    assert first.project.official == {"instanceLifecycleConfig": hooks}
    assert first.project.environment == {"A": "1", "B": "true", "C": "x cn-hangzhou y", "D": "checkout"}
    assert first.source == tmp_path / "code"
    assert first.notes == ()
    assert first.project.triggers is not None
    web, nightly = first.project.triggers
    assert web.full_config() == {"authType": "anonymous", "methods": ["GET"]}
    assert nightly.full_config() == {"cronExpression": "@every 1h", "enable": True, "payload": ""}
    assert second.project.name == "after-checkout-test"
    assert second.project.environment == {"SAME": "9"}
    assert load(tmp_path, WHOLE).units[0].project.name == "checkout-dev"


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
        (PROPS % "\"${file('./secret')}\"", "cannot be read"),
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
    assert stack.find(tmp_path) is None
    (tmp_path / "s.yaml").write_text(WHOLE)
    assert stack.find(tmp_path) == tmp_path / "s.yaml"
    (tmp_path / "functory.toml").write_text("")
    assert stack.find(tmp_path) is None
    assert stack.find(tmp_path / "s.yaml") == tmp_path / "s.yaml"


FC3 = """
    annotations asyncInvokeConfig code concurrencyConfig cpu customContainerConfig customDNS customDomain
    customRuntimeConfig description diskSize enableLongLiving endpoint environmentVariables functionName gpuConfig
    handler instanceConcurrency instanceIsolationMode instanceLifecycleConfig internetAccess layers logConfig
    memorySize nasConfig ossMountConfig provisionConfig region resourceGroupId role runtime scalingConfig
    sessionAffinity sessionAffinityConfig supplement tags timeout tracingConfig triggers vpcBinding vpcConfig
"""
"""The properties of the component's own schema."""


def test_every_property_of_the_component_is_known() -> None:
    assert set(FC3.split()) <= serverless_props.KNOWN


AROUND = """
edition: 3.0.0
template:
  base: {runtime: python3, memorySize: 128, environmentVariables: {A: base, B: base}, timeout: 7}
resources:
  f:
    component: devsapp/fc3
    extend: {name: base, ignore: [timeout]}
    actions: {pre-deploy: [{run: make}]}
    props:
      environmentVariables: {A: own, ID: "${config('AccountID')}"}
      logConfig: auto
      vpcConfig: {vpcId: vpc-1, vSwitchIds: [vsw-1], securityGroupId: sg-1}
      customRuntimeConfig: {command: [python3], args: [app.py], port: 9000, healthCheckConfig: {httpGetUrl: /ok}}
      sessionAffinity: HEADER_FIELD
      sessionAffinityConfig: {affinityHeaderFieldName: x}
      memroySize: 3
      layers: ["acs:fc:local:1:layers/a/versions/1"]
      tags: [{key: team, value: red}]
      vpcBinding: {vpcIds: [vpc-1]}
      asyncInvokeConfig: {maxAsyncRetryAttempts: 1, qualifier: prod}
      concurrencyConfig: {reservedConcurrency: 3}
      provisionConfig: {defaultTarget: 2, scheduledActions: []}
      scalingConfig: {minInstances: 1}
      customDomain:
        domainName: www.example.com
        protocol: http
        route: {path: /a/*, methods: [GET], qualifier: LATEST}
        certConfig: {certName: c, certificate: ./c.pem, privateKey: KEY}
        wafConfig: {enableWAF: true}
  image:
    component: fc3
    props: {runtime: custom-container, customContainerConfig: {image: example.com/i, port: 80}}
  site:
    component: fc3-domain
    props: {domainName: b.example.com, protocol: HTTP, routeConfig: {routes: [{path: /*, functionName: f}]}}
"""


def test_what_stands_around_a_function_is_read_or_told(tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_text("CERT")
    found = load(tmp_path, AROUND)
    unit, image = found.units
    assert (unit.project.memory, unit.project.timeout) == (128, None)
    assert unit.project.environment == {"A": "own", "B": "base", "ID": "1234"}
    official = unit.project.fields()
    assert official["vpcConfig"]["vpcId"] == "vpc-1"
    assert official["customRuntimeConfig"]["healthCheckConfig"] == {"httpGetUrl": "/ok"}
    assert official["sessionAffinityConfig"] == '{"affinityHeaderFieldName":"x"}'
    assert unit.project.layers == ["acs:fc:local:1:layers/a/versions/1"]
    assert unit.tags == {"team": "red"}
    configs = {(one.noun, one.qualifier): one.fields for one in unit.configs}
    assert configs["async", "prod"] == {"maxAsyncRetryAttempts": 1}
    assert configs["concurrency", "LATEST"] == {"reservedConcurrency": 3}
    assert configs["provision", "LATEST"] == {"defaultTarget": 2, "target": 2, "scheduledActions": []}
    assert configs["scaling", "LATEST"] == {"minInstances": 1}
    told = "\n".join(unit.notes)
    for word in ("memroySize", "is memorySize meant", "logConfig: auto", "vpcBinding", "wafConfig"):
        assert word in told
    assert found.notes == ("f: actions are not run: they are commands of the deploy tool",)
    assert image.source is None
    shared, site = found.domains
    assert (shared.name, shared.share_of) == ("www.example.com", "f")
    route = {"path": "/a/*", "functionName": "f", "methods": ["GET"], "qualifier": "LATEST"}
    certificate = {"certName": "c", "certificate": "CERT", "privateKey": "KEY"}
    assert shared.fields == {"protocol": "HTTP", "routeConfig": {"routes": [route]}, "certConfig": certificate}
    assert (site.name, site.share_of) == ("b.example.com", "")


def test_a_file_is_laid_over_the_one_that_it_extends(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# secrets\nexport STAGE='dot'\n")
    (tmp_path / "base.yaml").write_text(
        "vars: {m: 256}\nresources: {f: {component: fc3, props: {memorySize: '${vars.m}', description: base}}}"
    )
    over = "extend: base.yaml\nresources: {f: {props: {description: \"${env('STAGE')}\"}}}"
    (unit,) = load(tmp_path, over).units
    assert (unit.project.memory, unit.project.description) == (256, "dot")
    assert load(tmp_path, over, STAGE="real").units[0].project.description == "real"
    with pytest.raises(ProjectError, match="circle"):
        load(tmp_path, "extend: s.yaml")
    with pytest.raises(ProjectError, match="not there"):
        load(tmp_path, "extend: none.yaml")
