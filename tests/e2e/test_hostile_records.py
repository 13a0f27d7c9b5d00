"""What each hostile act comes to: contained, and named in its record, in every tier that this machine can show."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest

from e2e import hostile
from e2e.node_process import NodeProcess
from e2e.test_containment import BOXED, House, _named, house, roots_node, users_node
from functory.sdk import Client

__all__ = ["house", "roots_node", "users_node"]
pytestmark = pytest.mark.server


class Act(NamedTuple):
    """A hostile function: what its record says, and words of the message to its caller (any of them)."""

    body: str
    status: str
    words: tuple[str, ...]
    fields: Mapping[str, object] = MappingProxyType({})
    event: bytes = b""


def raising(name: str, expression: str) -> str:
    """A handler that raises what the kernel says to a call."""
    return (
        f"{hostile.HEAD}\ndef handler(event, context):\n    said = {expression}\n"
        f"    if said != 'ok': raise PermissionError(1, '{name}: ' + os.strerror(getattr(errno, said)))\n"
    )


REFUSED = ("Operation not permitted",)
SPACE, FILES = ("No space left",), ("Too many open files",)
HIDDEN = ("No such file", "Permission denied")
SHORT = {"timeout": 2}
QUIET: dict[str, object] = {"internetAccess": False}

ENDLESS = {
    "fork bomb": Act(hostile.FORK_BOMB, "timeout", ("timed out",), SHORT, b"bomb"),
    "spin past the deadline": Act("def handler(e, c):\n    while True: pass", "timeout", ("timed out",), SHORT),
    "ignore SIGTERM": Act(hostile.HEAD + hostile.IGNORES, "timeout", ("timed out",), SHORT),
    "escape by setsid": Act(hostile.HEAD + hostile.ESCAPES, "timeout", ("timed out",), SHORT, b"escapee"),
}
TAKING = {
    "memory": Act(hostile.MEMORY_OWN, "out_of_memory", ("memory",)),
    "descriptors": Act(
        hostile.HEAD + "def handler(e, c):\n    kept = []\n    while True: kept.append(os.open('/dev/null', 0))",
        "function_error",
        FILES,
    ),
    "zombies": Act(hostile.HEAD + hostile.MANY_ZOMBIES, "function_error", ("temporarily unavailable",)),
}
FILLING = {
    "bytes of /tmp": Act(hostile.HEAD + hostile.FILLS_BYTES, "function_error", SPACE, {"timeout": 60}),
    "files of /tmp": Act(hostile.HEAD + hostile.FILLS_INODES, "function_error", SPACE, {"timeout": 60}),
}
REACHING = {
    "ptrace": Act(raising("ptrace", "call('ptrace', 16, 1, 0, 0)"), "function_error", REFUSED),
    "mount": Act(raising("mount", "call('mount', b'x', b'/tmp', b'tmpfs', 0, None)"), "function_error", REFUSED),
    "unshare": Act(raising("unshare", "call('unshare', 0x10000000)"), "function_error", REFUSED),
    "keyring": Act(raising("keyctl", "number(250, 0, -3, 1)"), "function_error", REFUSED),
    "io_uring": Act(raising("io_uring", "number(425, 8, 0)"), "function_error", REFUSED),
    "environment of others": Act("def handler(e, c): return open('/proc/3/environ').read()", "function_error", HIDDEN),
    "root of others": Act("import os\ndef handler(e, c): return os.listdir('/proc/1/root')", "function_error", HIDDEN),
}
EVERYWHERE = {
    "raw socket": Act(
        "import socket\ndef handler(e, c): socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)", "function_error", REFUSED
    ),
    "/etc/shadow": Act("def handler(e, c): return open('/etc/shadow').read()", "function_error", HIDDEN),
    "protocol descriptor": Act(
        "import os\ndef handler(e, c):\n    os.write(4, b'garbage' * 10)\n    return b''", "exited", ("channel",)
    ),
    "malformed frame": Act(hostile.WRONG_FRAMES, "exited", ("channel",), SHORT, b"0 0 0 200 0 0"),
}
NETWORKED = {
    "UDP without a network": Act(
        "import socket\ndef handler(e, c): socket.socket(2, 2).sendto(b'x', ('10.1.2.3', 9))",
        "function_error",
        ("unreachable",),
        QUIET,
    ),
}
BOXED_ACTS = {**ENDLESS, **TAKING, **FILLING, **REACHING, **EVERYWHERE, **NETWORKED}
PLAIN_ACTS = {**ENDLESS, **TAKING, **EVERYWHERE}


def show(house: House, act: Act) -> None:
    mark = act.event.decode() + f"-{os.getpid()}" if act.event in (b"bomb", b"escapee") else ""
    status, message = house.fail(act.body, mark.encode() or act.event, **act.fields)
    assert status == act.status, message
    assert any(word in message for word in act.words), message
    deadline = time.monotonic() + 10
    while mark and _named(mark[:15]):
        assert time.monotonic() < deadline, "what it left is not gone"
        house.still_serves()
    house.still_serves()


@pytest.mark.parametrize("name", BOXED_ACTS)
def test_a_hostile_act_in_a_box_is_contained_and_named(house: House, name: str) -> None:
    show(house, BOXED_ACTS[name])


@pytest.fixture(scope="module")
def plain_node() -> Iterator[NodeProcess]:
    """A node without namespaces."""
    with tempfile.TemporaryDirectory(prefix="functory-plain-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        node = NodeProcess(Path(folder), "--isolation", "process")
        node.start()
        yield node
        assert node.stop() == 0


@pytest.mark.skipif(
    os.geteuid() != 0, reason="cannot be shown here: plain processes of an ordinary user share his limits"
)
@pytest.mark.parametrize("name", PLAIN_ACTS)
def test_a_hostile_act_of_a_plain_process_is_bounded_and_named(plain_node: NodeProcess, name: str) -> None:
    with Client(plain_node.credentials) as client:
        house = House(plain_node, client)
        assert house.tier not in BOXED
        show(house, PLAIN_ACTS[name])


def test_code_of_other_functions_is_out_of_sight(house: House) -> None:
    house.deploy("secret = 'here'\ndef handler(e, c): pass")
    folders = [str(path) for path in (house.node.data / "code").iterdir()]
    assert folders
    source = "import os\ndef handler(e, c): return os.listdir(e.decode())"
    for folder in folders:
        status, message = house.fail(source, folder.encode())
        assert status == "function_error"
        assert any(word in message for word in HIDDEN), message


def test_functions_do_not_meet_at_abstract_sockets(house: House) -> None:
    listening = house.deploy(hostile.HEAD + hostile.LISTENS)
    name = f"meeting-{os.getpid()}-{house.tier}".encode()
    assert house.client.invoke(listening, name).payload == b"listening"
    status, message = house.fail(
        "import socket\ndef handler(e, c): socket.socket(socket.AF_UNIX).connect(b'\\0' + e)", name
    )
    assert status == "function_error"
    assert "not permitted" in message or "refused" in message, message


def test_a_fork_bomb_of_whatever_user_has_an_end(house: House) -> None:
    assert 10 < house.call(hostile.FORK_BOMB)["made"] <= 1024
