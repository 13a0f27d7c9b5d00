"""The spawner as the node uses it: a real process, real zygotes, real instances."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec
import pytest
import uvloop

from functory.clock import SystemClock
from functory.model import errors
from functory.model.instance import Exit, InstanceSpec
from functory.runtimes import wire
from functory.sandbox import tree
from functory.sandbox.process import ProcessSandboxes
from functory.sandbox.safe import SafeSandboxes
from functory.spawner import process
from functory.spawner.base import Spawned
from functory.spawner.client import SpawnerClient
from functory.testing.checks.sandbox import descendants
from functory.testing.conversation import Conversation
from functory.testing.workshop import Workshop, interpreter, is_alive

pytestmark = pytest.mark.server

ECHO = "def handler(event, context): return event"
ESCAPE = """
import os, signal
def handler(event, context):
    for _ in range(2):
        if os.fork() == 0:
            os.setsid()
            if os.fork():
                os._exit(0)
            while True: signal.pause()
    for _ in range(2): os.wait()
    return "grown"
"""
LIMIT_S = 20


class House:
    """A started client, and code for instances."""

    def __init__(self, client: SpawnerClient, workshop: Workshop) -> None:
        self.client = client
        self.workshop = workshop
        self.ends: asyncio.Queue[Exit] = asyncio.Queue()
        self.open: list[Conversation] = []

    def spec(self, source: str | Path = ECHO, **fields: object) -> InstanceSpec:
        """A spec for a few lines of code."""
        return self.workshop.spec(source, **fields)

    async def spawn(self, source: str | Path = ECHO, **fields: object) -> tuple[InstanceSpec, Spawned, Conversation]:
        """An instance that is ready."""
        spec = self.spec(source, **fields)
        spawned = await self.client.spawn(spec, self.ends.put_nowait)
        assert not os.get_blocking(spawned.request_fd)
        assert not os.get_blocking(spawned.reply_fd)
        assert not os.get_blocking(spawned.log_fd)
        os.close(spawned.log_fd)
        talk = Conversation(spawned.request_fd, spawned.reply_fd)
        self.open.append(talk)
        hello = await asyncio.to_thread(talk.hello)
        assert hello.type is wire.Type.HELLO, hello.payload
        return spec, spawned, talk

    async def end(self) -> Exit:
        """The next end that is told."""
        async with asyncio.timeout(LIMIT_S):
            return await self.ends.get()


@asynccontextmanager
async def _house() -> AsyncIterator[House]:
    launch = partial(process.launch, prepare=[interpreter()])
    client = SpawnerClient(launch(), launch, SystemClock())
    workshop = Workshop(SafeSandboxes(ProcessSandboxes()))  # it only writes code here
    house = House(client, workshop)
    try:
        await client.start()
        yield house
    finally:
        await client.stop()
        for talk in house.open:
            talk.close()
        with workshop:
            pass


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """A spawner on the stdlib's loop."""
    async with _house() as house:
        yield house


async def test_it_makes_instances_that_answer_and_tells_their_end_once(house: House) -> None:
    spec, spawned, talk = await house.spawn()
    assert (await asyncio.to_thread(talk.call, b"x" * 200_000)).body == b"x" * 200_000
    house.client.kill(spec.instance_id)
    house.client.kill(spec.instance_id)
    assert await house.end() == Exit(instance_id=spec.instance_id, signal=signal.SIGKILL, killed=True)
    assert not is_alive(spawned.pid)
    house.client.kill(spec.instance_id)
    _, _, other = await house.spawn()
    assert (await asyncio.to_thread(other.call, b"y")).body == b"y"
    assert house.ends.empty()


def test_it_works_on_uvloop() -> None:
    async def run() -> None:
        async with _house() as house:
            spec, _, talk = await house.spawn()
            assert (await asyncio.to_thread(talk.call, b"x")).body == b"x"
            house.client.kill(spec.instance_id)
            assert (await house.end()).killed

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


async def test_it_says_what_the_boxes_are_worth_and_which_interpreters_are_warm(house: House) -> None:
    assert house.client.tier.name == "D"
    assert "No isolation" in house.client.tier.summary
    assert any("Namespaces" in sentence for sentence in house.client.tier.missing)
    assert list(house.client.versions) == [interpreter()]


async def test_an_interpreter_that_does_not_start_is_told_and_the_others_work() -> None:
    launch = partial(process.launch, prepare=["/bin/nopython", "/bin/false", interpreter()])
    client = SpawnerClient(launch(), launch, SystemClock())
    try:
        await client.start()
        assert list(client.versions) == [interpreter()]
        assert set(client.failures) == {"/bin/nopython", "/bin/false"}
        assert "did not get ready" in client.failures["/bin/false"]
    finally:
        await client.stop()


async def test_what_cannot_be_made_is_unavailable_with_the_reason(house: House) -> None:
    for fields, words in (
        ({"code_dir": "/nowhere"}, "/nowhere"),
        ({"runtime": "/bin/nopython"}, "nopython"),
        ({"environment": {"A": "x" * 300_000}}, "too large"),
    ):
        with pytest.raises(errors.Unavailable, match=words):
            await house.spawn(**fields)
    spec, *_ = await house.spawn()
    with pytest.raises(errors.Unavailable, match="exists already"):
        await house.spawn(instance_id=spec.instance_id)
    assert house.ends.empty()


async def test_nothing_of_the_nodes_environment_or_descriptors_reaches_an_instance(house: House) -> None:
    source = """
import os
def handler(event, context):
    fds = sorted(int(fd) for fd in os.listdir("/proc/self/fd"))
    return {"env": sorted(os.environ), "fds": fds[:5], "raw": open("/proc/self/environ").read()}
"""
    _, _, talk = await house.spawn(source)
    found = msgspec.json.decode((await asyncio.to_thread(talk.call, b"")).body)
    assert set(found["env"]) <= {"HOME", "LC_CTYPE", "PATH", "TMPDIR"}
    assert found["raw"] == ""


async def test_many_at_once_are_all_made(house: House) -> None:
    folder = house.workshop.code(ECHO)
    made = await asyncio.gather(*(house.spawn(folder) for _ in range(100)))
    assert len({spawned.pid for _, spawned, _ in made}) == 100
    for spec, *_ in made:
        house.client.kill(spec.instance_id)
    ends = {(await house.end()).instance_id for _ in made}
    assert ends == {spec.instance_id for spec, *_ in made}


async def test_an_instance_nobody_waits_for_any_more_is_ended(house: House) -> None:
    spec = house.spec(instance_id="c-feed" + "0" * 20)
    task = asyncio.ensure_future(house.client.spawn(spec, house.ends.put_nowait))
    await asyncio.sleep(0)  # it is on its way
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    _, _, talk = await house.spawn()  # answered after the other
    await asyncio.to_thread(talk.call, b"")
    await _until(lambda: not any(name.startswith("c-feed") for name in _names_below(house.client.pid)))
    assert house.ends.empty()


async def test_stop_ends_everything_and_may_be_repeated() -> None:
    before = descendants(os.getpid())
    async with _house() as house:
        made = [await house.spawn(ESCAPE) for _ in range(2)]
        for _, _, talk in made:
            await asyncio.to_thread(talk.call, b"")
        below = descendants(os.getpid()) - before
        assert len(below) >= 1 + 1 + 2 + 4  # spawner, zygote, instances, escaped
        await house.client.stop()
        await house.client.stop()
        assert {(await house.end()).instance_id for _ in made} == {spec.instance_id for spec, *_ in made}
        assert not [pid for pid in below if is_alive(pid)]
        with pytest.raises(errors.Unavailable, match="stopping"):
            await house.client.spawn(house.spec(), house.ends.put_nowait)


async def test_stop_without_a_start_leaves_no_process() -> None:
    launched = process.launch()
    client = SpawnerClient(launched, process.launch, SystemClock())
    await client.stop()
    await client.stop()
    assert not is_alive(launched.pid)


async def test_a_spawner_that_dies_takes_all_along_and_is_launched_again(house: House) -> None:
    spec, spawned, talk = await house.spawn(ESCAPE)
    await asyncio.to_thread(talk.call, b"")
    first = house.client.pid
    zygote = tree.parent(spawned.pid)
    below = descendants(zygote)
    assert len(below) >= 3
    os.kill(first, signal.SIGKILL)
    assert (await house.end()).describe() == "signal 9"
    assert not [pid for pid in below if is_alive(pid)], "told only when all are gone"
    await _until(lambda: not is_alive(zygote))  # it told by closing its last descriptor, just before its end
    talk = await _again(house)  # waits for the new one
    assert (await asyncio.to_thread(talk.call, b"again")).body == b"again"
    assert house.client.pid not in (0, first)
    assert house.ends.empty(), f"{spec.instance_id} was told twice"


async def _again(house: House) -> Conversation:
    async with asyncio.timeout(LIMIT_S):
        while True:
            try:
                return (await house.spawn())[2]
            except errors.Unavailable:
                await asyncio.sleep(0.01)  # a real process is started: there is nothing to wait on


async def test_a_zygote_that_dies_takes_its_instances_along_and_is_replaced(house: House) -> None:
    spec, spawned, talk = await house.spawn(ESCAPE)
    await asyncio.to_thread(talk.call, b"")
    zygote = tree.parent(spawned.pid)
    below = descendants(zygote)
    os.kill(zygote, signal.SIGKILL)
    end = await house.end()
    assert (end.instance_id, end.signal, end.killed) == (spec.instance_id, signal.SIGKILL, False)
    assert spawned.pid in below
    assert len(below) >= 3
    assert not [pid for pid in below if is_alive(pid)]
    _, _, talk = await house.spawn()
    assert (await asyncio.to_thread(talk.call, b"again")).body == b"again"


async def test_the_end_of_the_node_is_the_end_of_all() -> None:
    """The node's process is stood in for by its socket: what it holds is all the spawner knows of it."""
    async with _house() as house:
        _, _, talk = await house.spawn(ESCAPE)
        await asyncio.to_thread(talk.call, b"")
        pid = house.client.pid
        below = descendants(pid)
        control = _control(house)
        control.shutdown(2)
        assert (await house.end()).signal == signal.SIGKILL
        await _until(lambda: not [one for one in (pid, *below) if is_alive(one)])


async def test_signals_to_the_whole_group_do_not_end_the_spawner(house: House) -> None:
    zygotes = tree.children(house.client.pid)
    assert len(zygotes) == 2
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        for pid in (house.client.pid, *zygotes):
            os.kill(pid, number)
    _, spawned, talk = await house.spawn()
    assert (await asyncio.to_thread(talk.call, b"x")).body == b"x"
    os.kill(spawned.pid, signal.SIGTERM)  # an instance does not inherit that
    assert (await house.end()).describe() == "signal 15"


async def test_a_broken_message_ends_the_spawner_and_all_instances(house: House) -> None:
    await house.spawn()
    control = _control(house)
    first = house.client.pid
    control.send(b'{"op": "rule the world"}')
    assert (await house.end()).signal == signal.SIGKILL
    await _again(house)
    assert house.client.pid != first


def _control(house: House) -> socket.socket:
    """What connects the node to the spawner: its end, and broken messages, come from there."""
    connection = house.client._connection
    assert connection is not None
    return connection._control


def _names_below(pid: int) -> list[str]:
    names = []
    for one in descendants(pid):
        try:
            names.append(Path(f"/proc/{one}/comm").read_text())
        except OSError:
            continue
    return names


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110 - the state of other processes: there is nothing to wait on
            await asyncio.sleep(0.005)
