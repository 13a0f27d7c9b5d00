"""Functions that are loaded once and copied, on a real node, as root and as an ordinary user."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e import copied
from e2e.test_containment import House, house, roots_node, users_node
from e2e.test_hostile_functions import zipped
from functory.sdk import answers
from functory.sdk.errors import ApiError
from functory.sdk.functions import Template
from functory.testing.workshop import is_alive

__all__ = ["house", "roots_node", "users_node"]
pytestmark = pytest.mark.server
LIMIT_S = 20


def deploy(house: House, source: str, mode: str = "auto", **fields: Any) -> str:
    environment = {**fields.pop("environmentVariables", {}), "FUNCTORY_SNAPSHOT": mode}
    if "def start(" in source:
        fields["instanceLifecycleConfig"] = {"initializer": {"handler": "index.start", "timeout": 3}}
    return house.deploy(source, environmentVariables=environment, **{"cpu": 1, "memorySize": 1024, **fields})


def wait_state(house: House, name: str, *wanted: str) -> Template:
    """Asks until its template stands as wanted."""
    deadline = time.monotonic() + LIMIT_S
    while (found := house.client.functions.template(name)).state not in wanted:
        assert time.monotonic() < deadline, (found, house.node.log[-3000:])
    return found


def ready(house: House, source: str, **fields: Any) -> str:
    """A function with a template: its first call has shown that loading it is slow."""
    name = deploy(house, source, **fields)
    house.client.invoke(name, b"")
    found = wait_state(house, name, "ready", "refused")
    assert found.state == "ready", found.reason
    return name


def at_once(house: House, name: str, count: int = 4) -> list[tuple[answers.Invoked, Any]]:
    """So many calls side by side: each needs an instance of its own."""
    found: list[tuple[answers.Invoked, Any]] = []

    def call() -> None:
        answer = house.client.invoke(name, b"")
        assert not answer.error_type, answer.payload
        found.append((answer, json.loads(answer.payload)))

    threads = [threading.Thread(target=call) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == count
    return found


def copies(house: House, name: str, calls: int = 4) -> list[tuple[answers.Invoked, Any]]:
    """Calls that were served by copies of one template: they have its mark, which was drawn while it was loaded."""
    found = at_once(house, name, calls)
    mark, count = Counter(body["mark"] for _, body in found).most_common(1)[0]
    assert count >= 2, "no two instances were copies of one template"
    return [(answer, body) for answer, body in found if body["mark"] == mark]


def test_copies_share_what_was_loaded_and_draw_their_own_chance(house: House) -> None:
    name = ready(house, copied.CHANCE)
    found = [body for _, body in copies(house, name)]
    for kind in found[0]["drawn"]:
        drawn = [body["drawn"][kind] for body in found]
        assert len(set(drawn)) == len(drawn), f"{kind} is the same in two copies: {drawn}"
    assert len({body["state"] for body in found}) == 1, "an object of the function's own is copied as it is"
    assert len({tuple(body["inits"]) for body in found}) == 1
    assert len(found[0]["inits"]) == 1, "the initializer ran once, in the template"
    assert found[0]["inits"][0] not in {body["instance"] for body in found}


def test_a_copy_is_shut_off_like_any_other_instance(house: House) -> None:
    for _, body in copies(house, ready(house, copied.CHANCE)):
        status = body["status"]
        assert {int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb")} == {0}
        assert (int(status["NoNewPrivs"]), int(status["Seccomp"])) == (1, 2)
        assert body["pid"] != 1
        assert len(body["processes"]) <= 2, "only its own are in sight"
        assert (body["code"], body["tmp"]) == (["index.py"], [])
        assert body["descriptors"] <= 6


def test_a_template_and_its_copies_share_the_machines_network_and_no_other(house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        variables = {"PORT": str(server.getsockname()[1])}
        for _, body in copies(house, ready(house, copied.NO_NETWORK, environmentVariables=variables)):
            assert (body["loading"], body["now"]) == ("connected", "connected")
        alone = deploy(house, copied.NO_NETWORK, environmentVariables=variables, internetAccess=False)
        assert json.loads(house.client.invoke(alone, b"").payload)["now"] == "ECONNREFUSED"
        found = wait_state(house, alone, "refused", "ready")
        assert (found.state, "a network of its own" in found.reason) == ("refused", True)


def test_ids_environment_and_log_are_those_of_the_copy(house: House) -> None:
    found = copies(house, ready(house, copied.CHANCE))
    assert len({body["instance"] for _, body in found}) == len(found)
    for answer, body in found:
        record = house.client.requests.get(answer.request_id, wait_s=5)
        assert body["request"] == answer.request_id
        assert body["instance"] == record.instance_id
        text = house.client.requests.logs(answer.request_id).text
        assert f"served {answer.request_id} {record.instance_id}" in text


def test_the_parts_of_a_copys_start_are_told_apart(house: House) -> None:
    name = ready(house, copied.CHANCE)
    records = [house.client.requests.get(answer.request_id, wait_s=5) for answer, _ in copies(house, name)]
    cold = [record.cold for record in records if record.cold is not None]
    assert cold, "a copy that a call has waited for is a cold start"
    for part in cold:
        assert (part.import_us, part.init_us) == (0, 0)
        assert part.fork_us > 0
        assert part.template_us > 0
    template = house.client.functions.template(name)
    assert template.import_us >= 30_000
    assert template.init_us > 0
    assert template.forks >= len(cold)
    assert template.memory_bytes > 1 << 20
    assert "initialised" in template.log
    held = house.client.node().templates
    assert held.ready >= 1
    assert held.memory_bytes >= template.memory_bytes


@pytest.mark.parametrize("what", copied.REFUSED)
def test_what_cannot_be_copied_is_refused_with_a_plain_reason(house: House, what: str) -> None:
    name = deploy(house, copied.refused(copied.REFUSED[what]))
    first = house.client.invoke(name, b"")
    assert not first.error_type, first.payload
    found = wait_state(house, name, "refused", "ready")
    assert found.state == "refused"
    assert what in found.reason
    again = house.client.invoke(name, b"")
    assert not again.error_type, "starts go on without a template"


def test_hooks_close_what_cannot_be_copied_and_open_it_anew(house: House) -> None:
    for _, body in copies(house, ready(house, copied.HOOKS)):
        assert body["told"] == ["before", "after"]
        assert body["socket"] > 2


def test_a_hook_that_fails_is_named_and_calls_go_on(house: House) -> None:
    name = deploy(house, copied.BEFORE_FAILS)
    assert not house.client.invoke(name, b"").error_type
    assert "before_snapshot failed: LookupError: no pool to close" in wait_state(house, name, "refused").reason
    name = deploy(house, copied.AFTER_FAILS)
    assert not house.client.invoke(name, b"").error_type
    wait_state(house, name, "ready", "refused")
    at_once(house, name)
    assert "after_restore failed: ConnectionError: the database says no" in wait_state(house, name, "refused").reason
    at_once(house, name)


def test_a_function_can_refuse_to_be_copied_and_can_insist(house: House) -> None:
    name = deploy(house, copied.CHANCE, mode="off")
    marks = [body["mark"] for _, body in at_once(house, name)]
    assert len(set(marks)) == len(marks), "each instance has loaded the code itself"
    assert house.client.functions.template(name).state == "off"
    quick = "def handler(event, context):\n    return 'fine'\n"
    ready(house, quick, mode="on")
    with pytest.raises(ApiError, match="FUNCTORY_SNAPSHOT 'maybe' is not one of auto, on, off"):
        deploy(house, quick, mode="maybe")


def test_files_that_were_opened_to_be_read_are_each_copys_own(house: House) -> None:
    name = deploy(house, "def handler(event, context): return ''")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("index.py", copied.FILES)
        archive.writestr("words.txt", "one\ntwo\nthree\nfour\nfive\n")
    house.client.functions.update(name, {}, file.getvalue())
    house.client.invoke(name, b"")
    wait_state(house, name, "ready")
    assert {body["line"] for _, body in copies(house, name)} == {"two\n"}


def test_a_change_of_the_code_brings_another_template(house: House) -> None:
    name = ready(house, copied.CHANCE)
    before = house.client.functions.template(name)
    pid = process_of(before.instance_id)
    house.client.functions.update(name, {}, zipped(copied.CHANCE.replace('"mark": MARK', '"mark": "new " + MARK')))
    wait_gone(pid)
    assert all(body["mark"].startswith("new ") for _, body in at_once(house, name))
    after = wait_state(house, name, "ready")
    assert after.instance_id != before.instance_id
    house.client.functions.delete(name)
    wait_gone(process_of(after.instance_id))


def test_a_template_that_is_killed_is_back_within_a_second(house: House) -> None:
    name = ready(house, copied.CHANCE)
    copies(house, name)
    before = house.client.functions.template(name)
    running = threading.Thread(target=lambda: outcomes.append(house.client.invoke(name, b"")))
    outcomes: list[answers.Invoked] = []
    running.start()
    began = time.monotonic()
    os.kill(process_of(before.instance_id), signal.SIGKILL)
    while (answer := house.client.invoke(name, b"")).error_type:
        assert time.monotonic() - began < 1, answer.payload
    served_s = time.monotonic() - began - 0.3  # what the function itself takes
    while house.client.functions.template(name).instance_id in ("", before.instance_id):
        assert time.monotonic() - began < LIMIT_S
    assert served_s < 1
    running.join()
    outcome = outcomes[0]
    assert outcome.error_type in ("", "UnhandledInvocationError"), outcome.payload
    if outcome.error_type:
        assert b"signal 9" in outcome.payload
    assert len(copies(house, name, 8)) >= 2, "those that were started meanwhile have loaded the code themselves"


@pytest.mark.parametrize(
    ("bomb", "word"),
    [
        (copied.FORK_BOMB, "not ready after"),
        (copied.MEMORY_BOMB, "emory"),
        (copied.LEAVING, "sys.exit(3)"),
    ],
    ids=["fork bomb", "memory bomb", "exit"],
)
def test_a_hostile_initializer_is_contained_in_the_template_and_named(house: House, bomb: str, word: str) -> None:
    other = deploy(house, "def handler(event, context): return event")
    name = deploy(house, bomb, memorySize=256, cpu=0.25)
    assert not house.client.invoke(name, b"").error_type
    deadline = time.monotonic() + 2 * LIMIT_S
    while not (found := house.client.functions.template(name)).reason:
        assert house.client.invoke(other, b"still here").payload == b"still here"
        assert time.monotonic() < deadline, found
    assert word in found.reason
    assert not house.client.invoke(name, b"").error_type
    house.still_serves()


def test_a_template_that_lies_ends_with_its_own_instances_only(house: House) -> None:
    name = deploy(house, copied.LYING)
    deadline = time.monotonic() + LIMIT_S
    while not (found := house.client.functions.template(name)).reason:
        assert not house.client.invoke(name, b"").error_type
        assert time.monotonic() < deadline
    assert found.state in ("none", "making"), found
    assert not house.client.invoke(name, b"").error_type
    house.still_serves()


def test_a_template_that_burns_processor_time_is_ended(house: House) -> None:
    name = deploy(house, copied.BURNING)
    house.client.invoke(name, b"")
    deadline = time.monotonic() + LIMIT_S
    while not (found := house.client.functions.template(name)).reason:
        assert time.monotonic() < deadline, found
    # Whichever is noticed first: that it burns, or that it does not answer any more.
    assert "processor time" in found.reason or "its process ended" in found.reason
    assert not house.client.invoke(name, b"").error_type


def test_code_in_a_template_gains_nothing_of_what_a_template_may_do(house: House) -> None:
    name = deploy(house, copied.POWERS)
    house.client.invoke(name, b"")
    found = json.loads(wait_state(house, name, "ready").log)
    for call in ("unshare user", "unshare net", "unshare mounts", "bind", "move", "umount", "pivot", "ptrace"):
        assert found[call] == "EPERM", call
    assert found["clone3 user"] in ("ENOSPC", "EPERM", "EUSERS")
    assert found["clone3 net"] in ("ENOSPC", "EPERM", "EUSERS")
    assert found["become root"] in ("EPERM", "EINVAL")
    caps = {line.split(":")[0]: int(line.split(":")[1], 16) for line in found["caps"]}
    assert caps == {"CapInh": 0, "CapPrm": 1 << 21, "CapEff": 1 << 21, "CapBnd": 0, "CapAmb": 0}
    assert (found["shadow"], found["usr"], found["code"]) == (False, False, False)
    assert len(found["processes"]) <= 3


def process_of(instance_id: str) -> int:
    """The outermost process that bears an instance's name: killing it ends the template."""
    assert instance_id
    for folder in sorted(_processes(), key=lambda one: int(one.name)):
        try:
            if (folder / "comm").read_text().strip() == instance_id[:15]:
                return int(folder.name)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return 0


def _processes() -> Iterator[Path]:
    return (folder for folder in Path("/proc").iterdir() if folder.name.isdigit())


def wait_gone(pid: int) -> None:
    deadline = time.monotonic() + LIMIT_S
    while pid and is_alive(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
