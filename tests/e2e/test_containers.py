"""Images on a real node: from layouts, archives and a real registry, by the official SDK, in their box."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import image_kit
from contracts import go_program
from e2e import registry_process
from e2e.node_process import NodeProcess, clean_environment
from e2e.registry_process import PASSWORD, USER, Registry, Tokens
from e2e.test_containment import users_node  # noqa: F401 - a fixture
from e2e.test_official_sdk import HERE
from functory.sdk import ApiError, Client
from functory.sdk.functions import Function

pytestmark = [pytest.mark.server, pytest.mark.timeout(120)]
SOURCE = Path(__file__).resolve().parents[1] / "contracts" / "subjects" / "container"
CONFIG = {"Entrypoint": ["/server"], "Env": ["FROM_IMAGE=yes", "WHICH=image"], "WorkingDir": "/work"}
READY_TIMEOUT_S = 60


def image(*, config: dict[str, Any] | None = None) -> image_kit.Built:
    """A server in the lower layer; the upper one takes away and replaces some of it."""
    lower = image_kit.layer(
        image_kit.program("server", go_program.build(SOURCE)),
        ("gone", b"lower"),
        ("second", b"lower"),
        ("opaque/hidden", b"lower"),
        ("etc/shadow", b"secret", {"mode": 0o600}),
    )
    upper = image_kit.layer((".wh.gone", b""), ("second", b"upper"), ("opaque/.wh..wh..opq", b""))
    return image_kit.Built([lower, upper], {**CONFIG, **(config or {})})


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node that may pull from this machine."""
    started = NodeProcess(tmp_path_factory.mktemp("node"), "--image-registries", "127.0.0.1")
    started.start()
    yield started
    assert started.stop() == 0, started.log


@pytest.fixture
def client(node: NodeProcess) -> Iterator[Client]:
    """A client of the node; containers are there only where boxes are."""
    with Client(node.credentials) as connected:
        if connected.node().tier.name in ("C", "D"):
            pytest.skip("cannot be shown here: there are no boxes")
        yield connected


Create = Callable[..., Function]


@pytest.fixture
def create(client: Client) -> Iterator[Create]:
    """Makes a function of an image and waits until that is here, or is not; it is deleted afterwards."""
    made: list[str] = []

    def make(name: str, reference: str, *, config: dict[str, Any] | None = None, **fields: Any) -> Function:
        container = {"image": reference, **(config or {})}
        fields = {"runtime": "custom-container", "timeout": 10, "customContainerConfig": container, **fields}
        client.functions.create(name, fields, None)
        made.append(name)
        return settled(client, name)

    yield make
    for name in made:
        client.functions.delete(name)


def settled(client: Client, name: str) -> Function:
    """The function once its image is here, or cannot be had."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        found = client.functions.get(name)
        if found.state != "Pending" and found.last_update_status != "InProgress":
            return found
        time.sleep(0.02)
    raise AssertionError(f"{name} is still {found.state}")


def in_images(node: NodeProcess, name: str) -> Path:
    """Where an image may lie that functions name."""
    return node.data / "images" / name


def test_an_instance_sees_its_image_and_nothing_else_and_may_write_to_it(
    node: NodeProcess, create: Create, client: Client
) -> None:
    made = create("looks", f"oci:{image().write(in_images(node, 'looks'))}", config={"command": ["--quiet"]})
    assert made.state == "Active", made
    seen = json.loads(client.invoke("looks", b"look").payload)
    assert set(seen["root"]) <= {"data", "dev", "etc", "opaque", "proc", "second", "server", "tmp", "work"}
    assert (seen["folder"], seen["args"]) == ("/work", ["--quiet"])
    assert "no such file" in seen["gone"]
    assert "no such file" in seen["hidden"]
    assert (seen["second"], seen["shadow"]) == ("upper", "secret"), "its user may read what root may"
    assert "localhost" in seen["hosts"]
    assert (seen["writes"], seen["replaces"], seen["removes"], seen["random"]) == ("", "", "", "")
    assert int(seen["capabilities"], 16) == 0
    assert seen["uid"] != 0
    assert seen["processes"] <= 4
    assert "FROM_IMAGE=yes" in seen["environment"]
    assert not [one for one in seen["environment"] if "SECRET" in one]
    again = json.loads(client.invoke("looks", b"look").payload)
    assert again["shadow"] == "mine", "the instance keeps what it wrote"


def test_an_ordinary_users_node_runs_images_too(users_node: NodeProcess) -> None:  # noqa: F811
    with Client(users_node.credentials) as client:
        if client.node().tier.name in ("C", "D"):
            pytest.skip("cannot be shown here: there are no boxes for ordinary users")
        folder = image().write(in_images(users_node, "ordinary"))
        owner = users_node.data.stat()
        for path in (folder, *folder.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)
        container = {"image": f"oci:{folder}"}
        fields = {"runtime": "custom-container", "customContainerConfig": container, "timeout": 10}
        client.functions.create("ordinary", fields, None)
        made = settled(client, "ordinary")
        assert made.state == "Active", made
        seen = json.loads(client.invoke("ordinary", b"look").payload)
        assert (seen["second"], seen["shadow"], seen["writes"], seen["removes"]) == ("upper", "secret", "", "")
        assert "no such file" in seen["gone"]
        assert "no such file" in seen["hidden"]
        client.functions.delete("ordinary")


def test_what_one_instance_writes_no_other_sees(node: NodeProcess, create: Create, client: Client) -> None:
    name = f"oci:{image().write(in_images(node, 'writes'))}"
    create("writes-a", name)
    create("writes-b", name)
    client.invoke("writes-a", b"look")
    assert json.loads(client.invoke("writes-b", b"look").payload)["shadow"] == "secret"


def test_what_it_writes_is_bounded_by_its_disk(node: NodeProcess, create: Create, client: Client) -> None:
    create("fills", f"oci:{image().write(in_images(node, 'fills'))}", diskSize=512, memorySize=512, timeout=30)
    assert b"no space left" in client.invoke("fills", b"fill").payload
    assert client.invoke("fills", b"still there").payload == b"still there"


def test_a_call_that_takes_too_long_ends_the_instance_and_the_next_is_served(
    node: NodeProcess, create: Create, client: Client
) -> None:
    create("hangs", f"oci:{image().write(in_images(node, 'hangs'))}", timeout=1)
    assert "timed out" in json.loads(client.invoke("hangs", b"hang").payload)["errorMessage"]
    assert client.invoke("hangs", b"x").payload == b"x"


def test_a_program_that_listens_on_its_own_port_is_found(node: NodeProcess, create: Create, client: Client) -> None:
    reference = f"oci:{image().write(in_images(node, 'ports'))}"
    variables = {"LISTEN": "18080"}
    create("ports", reference, config={"port": 18080}, environmentVariables=variables, internetAccess=False)
    assert client.invoke("ports", b"x").payload == b"x"


def test_http_triggers_reach_it(node: NodeProcess, create: Create, client: Client) -> None:
    create("web", f"oci:{image().write(in_images(node, 'web'))}")
    client.triggers.create("web", "http", "http", {"authType": "anonymous", "methods": ["GET"]})
    answer = httpx.get(f"{node.endpoint}/fn/web/some/path", timeout=10)
    assert answer.text == "hello from /some/path"
    client.triggers.delete("web", "http")


def test_an_archive_of_docker_runs(node: NodeProcess, create: Create, client: Client) -> None:
    program = image_kit.layer(image_kit.program("server", go_program.build(SOURCE)))
    in_images(node, "saved.tar").write_bytes(image_kit.docker_archive([program], CONFIG))
    made = create("saved", f"docker-archive:{in_images(node, 'saved.tar')}")
    assert made.state == "Active", made
    assert client.invoke("saved", b"x").payload == b"x"


def test_an_image_that_cannot_be_had_is_failed_and_calls_say_so(
    create: Create, client: Client, node: NodeProcess
) -> None:
    made = create("missing", f"oci:{in_images(node, 'nothing-here')}")
    assert made.state == "Failed"
    assert "cannot be read" in str(made.state_reason)
    with pytest.raises(ApiError) as refused:
        client.invoke("missing", b"x")
    assert refused.value.code == "FunctionNotReady"


def test_the_hosts_files_cannot_be_named(client: Client, tmp_path: Path) -> None:
    image().write(tmp_path / "outside")
    fields = {"runtime": "custom-container", "customContainerConfig": {"image": f"oci:{tmp_path}/outside"}}
    with pytest.raises(ApiError, match="not below a folder"):
        client.functions.create("outside", fields, None)


def test_the_command_line_deploys_an_image_and_waits_for_it(node: NodeProcess, client: Client, tmp_path: Path) -> None:
    folder = image().write(in_images(node, "line"))

    def deploy(reference: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "functory.yaml").write_text(f"functions:\n  line:\n    image: {reference}\n    port: 9000\n")
        command = [sys.executable, "-m", "functory", "deploy", str(tmp_path)]
        environment = clean_environment()
        return subprocess.run(
            command, cwd=node.folder, env=environment, capture_output=True, text=True, timeout=90, check=False
        )

    first = deploy(f"oci:{folder}")
    assert first.returncode == 0, first.stderr
    assert client.invoke("line", b"x").payload == b"x"
    again = deploy(f"oci:{folder}")
    assert "unchanged" in again.stderr, again.stderr
    broken = deploy(f"oci:{folder}-not-there")
    assert broken.returncode != 0
    assert "cannot be had" in broken.stderr
    assert client.invoke("line", b"x").payload == b"x", "calls go to the revision before"
    client.functions.delete("line")


# --- a registry -------------------------------------------------------------------------------------------------------


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """Open to everybody on this machine."""
    started = Registry(tmp_path)
    yield started
    started.stop()


def test_a_tag_is_pulled_and_keeps_its_digest_until_it_is_deployed_again(
    registry: Registry, create: Create, client: Client
) -> None:
    first, second = image(), image(config={"Env": ["WHICH=second"]})
    registry.push("team/app", "1", first)
    made = create("pulled", f"{registry.host}/team/app:1")
    assert made.state == "Active", made
    assert client.invoke("pulled", b"which").payload == b"image"
    registry.push("team/app", "1", second)
    client.functions.update("pulled", {"customContainerConfig": {"image": f"{registry.host}/team/app:1"}})
    settled(client, "pulled")
    assert client.invoke("pulled", b"which").payload == b"second"
    digest = first.manifest["digest"]
    client.functions.update("pulled", {"customContainerConfig": {"image": f"{registry.host}/team/app@{digest}"}})
    settled(client, "pulled")
    assert client.invoke("pulled", b"which").payload == b"image"


def test_a_registry_behind_a_password_is_asked_with_it(tmp_path: Path, create: Create, client: Client) -> None:
    registry = registry_process.with_password(tmp_path)
    try:
        registry.client.auth = httpx.BasicAuth(USER, PASSWORD)
        registry.push("app", "1", image())
        refused = create("nobody", f"{registry.host}/app:1")
        assert refused.state == "Failed"
        assert "without a password" in str(refused.state_reason)
        auth = {"authConfig": {"userName": USER, "password": PASSWORD}}
        assert create("known", f"{registry.host}/app:1", config={"registryConfig": auth}).state == "Active"
        assert client.invoke("known", b"x").payload == b"x"
    finally:
        registry.stop()


def test_a_registry_behind_tokens_is_asked_with_one(tmp_path: Path, create: Create, client: Client) -> None:
    tokens = Tokens(tmp_path)
    try:
        registry = Registry(tmp_path, tokens.auth)
        try:
            pushing = {"authorization": f"Bearer {tokens.token('repository:team/app:pull,push')}"}
            registry.push("team/app", "1", image(), pushing)
            auth = {"authConfig": {"userName": USER, "password": PASSWORD}}
            made = create("token", f"{registry.host}/team/app:1", config={"registryConfig": auth})
            assert made.state == "Active", made
            assert client.invoke("token", b"x").payload == b"x"
            assert tokens.asked[-1] == "repository:team/app:pull"
        finally:
            registry.stop()
    finally:
        tokens.stop()


def test_a_registry_that_the_operator_does_not_name_is_not_reached(tmp_path: Path, registry: Registry) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    other = NodeProcess(folder)
    other.start()
    try:
        with Client(other.credentials) as client:
            if client.node().tier.name in ("C", "D"):
                pytest.skip("cannot be shown here: there are no boxes")
            fields = {"runtime": "custom-container", "customContainerConfig": {"image": f"{registry.host}/app:1"}}
            client.functions.create("inside", fields, None)
            made = settled(client, "inside")
            assert made.state == "Failed"
            assert "image_registries" in str(made.state_reason)
    finally:
        other.stop()


def test_the_official_sdk_deploys_and_waits_as_for_the_cloud(
    node: NodeProcess,
    client: Client,
    sdk_python: Path,
) -> None:
    first, other = image().write(in_images(node, "sdk")), image().write(in_images(node, "other"))
    environment = node.cloud_environment | {"IMAGE": f"oci:{first}", "OTHER_IMAGE": f"oci:{other}"}
    done = subprocess.run(
        [str(sdk_python), str(HERE / "containers.py")],
        env=environment,
        cwd=os.fspath(HERE),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


# --- what is left -----------------------------------------------------------------------------------------------


def test_a_node_that_is_killed_while_it_pulls_goes_on_at_its_next_start(tmp_path: Path) -> None:
    many = image_kit.layer(
        image_kit.program("server", go_program.build(SOURCE)), *((f"f/{number}", b"x") for number in range(10_000))
    )
    running = NodeProcess(tmp_path)
    running.start()
    try:
        with Client(running.credentials) as client:
            if client.node().tier.name in ("C", "D"):
                pytest.skip("cannot be shown here: there are no boxes")
            image_kit.Built([many], CONFIG, bytes).write(running.data / "images/many")
            reference = f"oci:{running.data}/images/many"
            fields = {"runtime": "custom-container", "customContainerConfig": {"image": reference}}
            client.functions.create("many", fields, None)
        layers = running.data / "containers/layers"
        while not list(layers.glob(".making-*/f")):
            assert running.process.poll() is None
        running.kill()
        assert list(layers.glob(".making-*"))
        running = NodeProcess(tmp_path)
        running.start()
        with Client(running.credentials) as client:
            assert settled(client, "many").state == "Active"
            assert client.invoke("many", b"x").payload == b"x"
            client.functions.delete("many")
        assert not list(layers.glob(".making-*"))
    finally:
        if running.process.poll() is None:
            running.stop()
    running = NodeProcess(tmp_path)
    running.start()
    assert running.stop() == 0
    assert not list(layers.iterdir()), "nobody names it any more"
