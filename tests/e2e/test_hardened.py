"""Tier C: hostile functions without namespaces, shut in by landlock and a filter of system calls, on a real node."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e import hostile
from e2e.node_process import NodeProcess
from e2e.test_containment import House, become_nobody
from e2e.test_hostile_records import HIDDEN, PLAIN_ACTS, show
from functory.sandbox import hardened
from functory.sdk import ApiError, Client

pytestmark = pytest.mark.server


@pytest.fixture(params=["own user", "ordinary user"], scope="module")
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    """A node of tier C, which the setting asks for; as the user who runs the tests, and as an ordinary one."""
    if why_not := hardened.find():
        pytest.skip(f"cannot be shown here: {why_not}")
    with tempfile.TemporaryDirectory(prefix="functory-hardened-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        prefix = become_nobody(folder) if request.param == "ordinary user" else ()
        node = NodeProcess(Path(folder), "--isolation", "landlock", prefix=prefix)
        node.start()
        with Client(node.credentials) as client:
            yield House(node, client)
        assert node.stop() == 0


def test_the_tier_says_what_it_is(house: House) -> None:
    assert house.tier == "C"
    assert "landlock" in house.client.health().tier.summary


def test_dangerous_system_calls_are_refused(house: House) -> None:
    found = house.call(hostile.REFUSED_CALLS)
    assert found.pop("become root") in ("EPERM", "EINVAL")
    assert {name: result for name, result in found.items() if result != "EPERM"} == {}


def test_only_programs_its_code_and_its_own_files_are_in_sight(house: House) -> None:
    other = house.deploy("secret = 1\ndef handler(e, c): return c.instance_id if e else __file__")
    code = Path(json.loads(f'"{house.client.invoke(other, b"").payload.decode()}"'))
    hidden = ["/etc/shadow", "/var/log", "/tmp", "/proc/1/environ", "/proc/self/status", "/root", "/sys/class/net"]
    hidden += [str(code), str(code.parent), str(house.node.data), str(house.node.data / "secret.key")]
    source = """
import json, os
def look(path):
    try:
        os.listdir(path) if os.path.isdir(path) else open(path).read()
        return "seen"
    except OSError as failure:
        return type(failure).__name__
def handler(event, context):
    with open(os.environ["TMPDIR"] + "/mine", "w") as mine:
        mine.write("x")
    def write(path):
        try:
            open(path, "w").close()
            return "written"
        except OSError as failure:
            return type(failure).__name__
    return {"hidden": {path: look(path) for path in json.loads(event)},
            "own": [look(os.path.dirname(__file__)), look(os.environ["TMPDIR"]), look("/etc/passwd"), look("/usr/lib")],
            "written": [write(__file__ + "x"), write("/usr/x"), write("/tmp/x"), write("/dev/shm/x")]}
"""
    found = house.call(source, json.dumps(hidden).encode())
    assert set(found["hidden"].values()) <= {"PermissionError", "FileNotFoundError"}, found["hidden"]
    assert set(found["own"]) == {"seen"}
    assert set(found["written"]) <= {"PermissionError", "OSError"}


def test_without_internet_access_there_are_no_sockets_but_local_ones(house: House) -> None:
    source = """
import socket
def attempt(*kind):
    try:
        socket.socket(*kind).close()
        return "made"
    except OSError as failure:
        return failure.errno
def handler(event, context):
    return [attempt(socket.AF_INET), attempt(socket.AF_INET, socket.SOCK_DGRAM), attempt(socket.AF_INET6),
            attempt(socket.AF_NETLINK, socket.SOCK_RAW), attempt(socket.AF_UNIX)]
"""
    assert house.call(source, internetAccess=False) == [97, 97, 97, 97, "made"]
    assert house.call(source) == ["made"] * 5


def test_an_allow_list_is_refused_at_the_start(house: House) -> None:
    house.client.vpcs.create("vpc-hard", {"names": ["a.example"]})
    name = house.deploy("def handler(e, c): return e", vpcConfig={"vpcId": "vpc-hard"})
    with pytest.raises(ApiError, match="tier C has none"):
        house.client.invoke(name, b"x")
    house.client.functions.delete(name)
    house.client.vpcs.delete("vpc-hard")


def test_signals_and_abstract_sockets_of_others_are_out_of_reach(house: House) -> None:
    name = f"functory-hard-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0" + name)
        server.listen()
        assert house.client.invoke(house.deploy(hostile.ABSTRACT), name.encode()).payload == b"EPERM"
    status, message = house.fail(
        "import os\ndef handler(e, c): os.kill(int(e), 15)", str(house.node.process.pid).encode()
    )
    assert (status, "not permitted" in message) == ("function_error", True)
    house.still_serves()


@pytest.mark.parametrize("name", [name for name in PLAIN_ACTS if name not in ("fork bomb", "zombies")])
def test_a_hostile_act_is_contained_and_named(house: House, name: str) -> None:
    act = PLAIN_ACTS[name]
    if name == "escape by setsid":  # it names itself in /proc, of which there is none here
        act = act._replace(body=act.body.replace('open("/proc/self/comm", "wb").write(event)', "pass"), event=b"")
    show(house, act)


def test_code_of_other_functions_cannot_be_read(house: House) -> None:
    house.deploy("secret = 'here'\ndef handler(e, c): pass")
    source = "import os\ndef handler(e, c): return os.listdir(e.decode())"
    status, message = house.fail(source, str(house.node.data / "code").encode())
    assert status == "function_error"
    assert any(word in message for word in HIDDEN), message
