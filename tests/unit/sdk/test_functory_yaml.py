"""What is read of a `functory.yaml`, and how its errors point at the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from functory.sdk import functory_yaml, stack
from functory.sdk.errors import ProjectError
from functory.sdk.units import AliasWish, Stack

WHOLE = """
vars:
  stage: ${env.STAGE:-dev}
layers:
  words: {code: ./words, runtimes: [python3]}
functions:
  shop-${vars.stage}:
    code: ./shop
    runtime: python3.10
    memory: 256
    disk: 512
    internet: false
    env: {STAGE: "${vars.stage}", N: 1, T: true, NONE: }
    layers: [words]
    publish: for ${vars.stage}
    aliases:
      prod: {version: 3, weights: {latest: 0.1}, provision: 2}
      edge: latest
      old: 2
    async: {retries: 1, max_age: 60, task: true, on_failure: "http://127.0.0.1:1/x"}
    reserved_concurrency: 5
    provision:
      target: 1
      schedule: [{name: day, at: "cron(0 0 8 * * *)", target: 9, zone: Asia/Shanghai}]
      tracking: [{name: t, metric: CPUUtilization, goal: 0.6, min: 1, max: 5}]
    scaling: {min: 3, official: {enableMixMode: true}}
    official: {role: "acs:ram::1:role/x"}
    tags: {team: red, floor: 3}
    triggers:
      web: {type: http, auth: anonymous, methods: [GET]}
      nightly: {type: timer, cron: "@every 5m", payload: x, enable: false}
  picture:
    image: example.com/p:1
    command: [run]
    port: 8080
domains:
  www.example.com:
    protocol: HTTP,HTTPS
    routes:
      - {path: /a/*, function: picture, methods: [GET], rewrite: {wildcard: {"/a/*": "/$1"}}}
    auth: {type: jwt, config: {jwks: {keys: []}}}
    certificate: {name: c, cert: c.pem, key: k.pem}
    tls: {min: TLSv1.2}
    cors: {origins: ["*"], max_age: 60}
"""


def load(tmp_path: Path, text: str, **environ: str) -> Stack:
    for folder in ("shop", "words"):
        (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / "c.pem").write_text("CERT")
    (tmp_path / "k.pem").write_text("KEY")
    (tmp_path / "functory.yaml").write_text(text)
    return functory_yaml.load(tmp_path / "functory.yaml", environ)


def test_three_lines_are_a_function(tmp_path: Path) -> None:
    (unit,) = load(tmp_path, "functions:\n  hello:\n    code: .\n").units
    assert (unit.project.name, unit.source) == ("hello", tmp_path)
    assert (unit.publish, unit.aliases, unit.configs, unit.tags) == (None, (), (), None)


def test_the_code_of_a_function_lies_in_a_folder_of_its_name_unless_said(tmp_path: Path) -> None:
    shop, other = load(tmp_path, "functions:\n  shop:\n  other:\n").units
    assert (shop.source, other.source) == (tmp_path / "shop", tmp_path)


def test_a_whole_file_becomes_functions_layers_and_domains(tmp_path: Path) -> None:
    found = load(tmp_path, WHOLE, STAGE="test")
    shop, picture = found.units
    project = shop.project
    assert (project.name, project.memory, project.internet, project.disk) == ("shop-test", 256, False, 512)
    assert project.environment == {"STAGE": "test", "N": "1", "T": "true", "NONE": ""}
    assert project.fields()["role"] == "acs:ram::1:role/x"
    assert project.triggers is not None
    assert [one.full_config() for one in project.triggers] == [
        {"authType": "anonymous", "methods": ["GET"]},
        {"cronExpression": "@every 5m", "payload": "x", "enable": False},
    ]
    assert (shop.publish, shop.tags) == ("for test", {"team": "red", "floor": "3"})
    assert shop.aliases == (
        AliasWish(name="prod", version="3", weights={"latest": 0.1}),
        AliasWish(name="edge"),
        AliasWish(name="old", version="2"),
    )
    assert picture.source is None
    assert picture.project.runtime == "custom-container"
    assert picture.project.fields()["customContainerConfig"] == {
        "image": "example.com/p:1", "command": ["run"], "port": 8080,
    }  # fmt: skip
    (layer,) = found.layers
    assert (layer.name, layer.source, layer.runtimes) == ("words", tmp_path / "words", ["python3"])


def test_configurations_are_in_the_words_of_the_api(tmp_path: Path) -> None:
    shop = load(tmp_path, WHOLE).units[0]
    found = {(one.noun, one.qualifier): one.fields for one in shop.configs}
    assert found["async", "LATEST"] == {
        "asyncTask": True,
        "maxAsyncRetryAttempts": 1,
        "maxAsyncEventAgeInSeconds": 60,
        "destinationConfig": {"onFailure": {"destination": "http://127.0.0.1:1/x"}},
    }
    assert found["concurrency", "LATEST"] == {"reservedConcurrency": 5}
    day = {"name": "day", "scheduleExpression": "cron(0 0 8 * * *)", "target": 9, "timeZone": "Asia/Shanghai"}
    assert found["provision", "LATEST"]["scheduledActions"] == [day]
    assert found["provision", "LATEST"]["targetTrackingPolicies"] == [
        {"name": "t", "metricType": "CPUUtilization", "metricTarget": 0.6, "minCapacity": 1, "maxCapacity": 5}
    ]
    assert found["provision", "prod"]["target"] == 2
    assert found["scaling", "LATEST"] == {"enableMixMode": True, "minInstances": 3, "scheduledPolicies": []}


def test_a_domain_is_in_the_words_of_the_api(tmp_path: Path) -> None:
    (domain,) = load(tmp_path, WHOLE).domains
    assert domain.fields["routeConfig"] == {
        "routes": [
            {
                "path": "/a/*",
                "functionName": "picture",
                "methods": ["GET"],
                "rewriteConfig": {"wildcardRules": [{"match": "/a/*", "replacement": "/$1"}]},
            }
        ]
    }
    assert domain.fields["authConfig"] == {"authType": "jwt", "authInfo": '{"jwks":{"keys":[]}}'}
    assert domain.fields["certConfig"] == {"certName": "c", "certificate": "CERT", "privateKey": "KEY"}
    assert domain.fields["tlsConfig"] == {"minVersion": "TLSv1.2"}
    assert domain.fields["corsConfig"] == {"allowOrigins": ["*"], "maxAge": 60}


F = "functions:\n  f:\n    "


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not a mapping"),
        ("[1]", "is not a mapping"),
        ("a: [", r"functory.yaml:\d: is not YAML"),
        ("vars: {}", "nothing to deploy"),
        (F + "memory: 1\n    memory: 2", r":4: 'memory' is said twice, first in line 3"),
        ("a: &a [*a]", "deeper than"),
        ("function: {}", r":1: function: there is no such field"),
        ("functions: [1]", r":1: functions: expected"),
        ("functions:\n  f: 3", r":2: functions.f: expected a mapping, got a number"),
        (F + "memroy: 3", r":3: functions.f.memroy: there is no such field"),
        (F + "code: .\n    memory: much", r":4: functions.f.memory: expected"),
        (F + "code: ./nope", r":3: functions.f.code: .*nope is not there"),
        (F + "code: .\n    image: x", "code or an image"),
        (F + "triggers:\n      web: {auth: function}", r":4: functions.f.triggers.web: .*type"),
        (F + "triggers:\n      web: 1", r":4: functions.f.triggers.web: expected a mapping"),
        (F + "triggers:\n      web:\n        type: http\n        methods: [1]", r":6: .*web.methods.0: expected"),
        (F + "async: {retires: 1}", "retires"),
        (F + "provision: {target: x}", "provision"),
        (F + "env:\n      A: ${env.NOPE}", "the environment has no NOPE"),
        (F + "env:\n      A: ${nope.a}", "not known here"),
        (F + "requirements: ./none.txt", "none.txt is not there"),
        ("domains:\n  a.b:\n    routes: 1", r":3: domains.a.b.routes: expected"),
        ("domains:\n  a.b: {routes: [], certificate: {name: a, cert: no.pem, key: k.pem}}", "no.pem is not there"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_pointed_at(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ProjectError, match=says):
        load(tmp_path, text)


def test_the_nearest_field_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProjectError) as caught:
        load(tmp_path, F + "memroy: 3")
    assert caught.value.hint == "the nearest one is 'memory'"


def test_a_field_that_is_like_no_other_is_answered_with_all_there_are(tmp_path: Path) -> None:
    (tmp_path / "functory.yaml").write_text("functions: {f: {code: ., zzz: 1}}")
    with pytest.raises(ProjectError) as caught:
        stack.load(tmp_path, {})
    assert "there are aliases, args, async" in caught.value.hint


def test_a_role_is_a_field_of_its_own_in_both_files(tmp_path: Path) -> None:
    arn = "acs:ram::1:role/orders"
    (tmp_path / "functory.toml").write_text(f'role = "{arn}"')
    assert stack.load(tmp_path, {}).units[0].project.fields()["role"] == arn
    (tmp_path / "functory.yaml").write_text(f"functions: {{f: {{code: ., role: '{arn}'}}}}")
    assert stack.load(tmp_path, {}).units[0].project.fields()["role"] == arn


@pytest.mark.parametrize(
    ("there", "meant"),
    [
        (("functory.yaml", "functory.toml", "s.yaml"), "functory.yaml"),
        (("functory.toml", "s.yaml"), ""),
        (("s.yaml",), "s.yaml"),
        ((), ""),
    ],
)
def test_one_file_of_a_folder_is_meant(tmp_path: Path, there: tuple[str, ...], meant: str) -> None:
    for name in there:
        (tmp_path / name).write_text("")
    assert stack.find(tmp_path) == (tmp_path / meant if meant else None)


def test_a_file_of_another_name_is_known_by_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("functions: {f: {code: .}}")
    (tmp_path / "b.yaml").write_text("edition: 3.0.0\nresources: {f: {component: fc3, props: {}}}")
    assert [stack.load(tmp_path / name, {}).units[0].project.name for name in ("a.yaml", "b.yaml")] == ["f", "f"]
    with pytest.raises(ProjectError, match=r"no file or folder .*c\.yaml"):
        stack.find(tmp_path / "c.yaml")


def test_words_that_look_like_truth_or_time_are_texts(tmp_path: Path) -> None:
    text = "functions: {f: {env: {A: yes, B: on, C: 12:30, D: 2026-11-23, E: 010, F: 0x1f, G: -3, H: 1.50, I: false}}}"
    (unit,) = load(tmp_path, text).units
    assert unit.project.environment == {
        "A": "yes", "B": "on", "C": "12:30", "D": "2026-11-23", "E": "010", "F": "31", "G": "-3", "H": "1.5",
        "I": "false",
    }  # fmt: skip
