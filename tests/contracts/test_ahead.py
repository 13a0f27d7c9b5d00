"""A program that ran before it was known for whom is the same instance as one that was started for it."""

from __future__ import annotations

import json
import os
import select
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from functory.runtimes.node import find_node, may_start_ahead
from functory.sandbox import tiers
from functory.sandbox.namespace import NamespaceSandboxes
from functory.sandbox.nest import Stem
from functory.testing.workshop import Workshop, interpreter

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="cannot be shown here: an ordinary user enters a box first")

LOOK = """
const fs = require('fs')
const wanted = ['Uid', 'Gid', 'Groups', 'CapEff', 'CapPrm', 'CapBnd', 'NoNewPrivs', 'Seccomp', 'SigBlk', 'SigIgn']
const others = () => fs.readdirSync('/proc').filter(name => /^\\d+$/.test(name) && name !== String(process.pid))
exports.handler = async () => {
  while (others().length > 1) await new Promise(setImmediate) // what helped it into the box is about to go
  const status = fs.readFileSync('/proc/self/status', 'utf8').split('\\n').map(line => line.split(/:\\s*/))
  const files = fs.readdirSync('/proc/self/fd').map(Number).filter(fd => fd < 6)
  return {
    status: Object.fromEntries(status.filter(([name]) => wanted.includes(name) && !/id$/.test(name))),
    user: process.getuid() === process.geteuid() && process.getuid() >= 10000,
    limits: fs.readFileSync('/proc/self/limits', 'utf8'),
    files: files.map(fd => fs.readlinkSync('/proc/self/fd/' + fd).replace(/\\d+/, 'N')),
    environment: process.env,
    folder: process.cwd(),
    others: others(),
    mounts: fs.readFileSync('/proc/self/mounts', 'utf8').split('\\n').length,
    layer: require('marker')
  }
}
"""


@pytest.fixture(name="shop")
def _shop() -> Iterator[tuple[Workshop, NamespaceSandboxes]]:
    found = tiers.find(interpreter(), f"functory-ahead-{os.getpid()}")
    if found.tier is None:
        pytest.skip(f"cannot be shown here: {found.why_not}")
    maker = NamespaceSandboxes(found.tier, groups=found.groups)
    with Workshop(maker) as workshop:
        yield workshop, maker


def _spec(workshop: Workshop, **fields: Any) -> dict[str, Any]:
    node = find_node("", interpreter())
    if node is None:
        pytest.skip("Node.js is not on this machine")
    layer = workshop.folder / "layer"
    marker = layer / "nodejs" / "node_modules" / "marker"
    if not marker.is_dir():
        marker.mkdir(parents=True)
        (marker / "index.js").write_text("module.exports = 'from the layer'")
    return {
        "handler": "index.handler", "argv": (node.resolve("nodejs20")[0], "--max-old-space-size=96", "@/node.cjs"),
        "reserve_mb": 256, "ahead": True, "environment": {"COLOUR": "blue"}, "layer_dirs": (str(layer),), **fields,
    }  # fmt: skip


def _stock(maker: NamespaceSandboxes) -> None:
    while maker.short:
        maker.refill()


def test_it_is_locked_in_and_equipped_like_one_that_was_started_for_its_function(
    shop: tuple[Workshop, NamespaceSandboxes],
) -> None:
    workshop, maker = shop
    code = workshop.code(LOOK, "index.js")
    seen = []
    for _ in range(2):  # the first one finds no stock
        running = workshop.start(code, **_spec(workshop))
        seen.append(json.loads(running.talk.call(b"").body))
        _stock(maker)
    fresh, ahead = seen
    assert {name: (value, ahead[name]) for name, value in fresh.items() if value != ahead[name]} == {}
    assert ahead["environment"]["COLOUR"] == "blue"
    assert ahead["status"]["CapEff"] == "0" * 16
    assert ahead["layer"] == "from the layer"
    assert ahead["others"] == ["1"], "only the first process of the box is left beside it"


def test_those_that_died_while_they_waited_are_passed_over(shop: tuple[Workshop, NamespaceSandboxes]) -> None:
    workshop, maker = shop
    code = workshop.code("exports.handler = async event => event", "index.js")
    maker.expect(workshop.spec(code, **_spec(workshop)))
    _stock(maker)
    waiting = list(maker.stems.ahead)
    assert waiting
    for stem in waiting:
        os.kill(stem.pid, signal.SIGKILL)
        _wait_until_alone(stem)
    assert workshop.start(code, **_spec(workshop)).talk.call(b"x").body == b"x"


def _wait_until_alone(stem: Stem) -> None:
    """Until nobody holds the other end of its socket, also not the helper."""
    poller = select.poll()
    poller.register(stem._control, select.POLLIN)
    assert poller.poll(5000)


def test_code_that_cannot_be_read_is_named_and_ends_the_box(shop: tuple[Workshop, NamespaceSandboxes]) -> None:
    workshop, maker = shop
    code = workshop.code("exports.handler = async event => event", "index.js")
    maker.expect(workshop.spec(code, **_spec(workshop)))
    _stock(maker)
    code.chmod(0o700)
    running = workshop.make(code, **_spec(workshop))
    assert workshop.end_of(running).code == 70
    assert b"Permission denied: '/code'" in running.raw_log()


def test_a_function_without_network_gets_a_program_that_was_started_in_the_empty_one(
    shop: tuple[Workshop, NamespaceSandboxes],
) -> None:
    workshop, maker = shop
    devices = "require('fs').readFileSync('/proc/self/net/dev', 'utf8').split('\\n').length"
    code = workshop.code(f"exports.handler = async () => {devices}", "index.js")
    maker.expect(workshop.spec(code, **_spec(workshop)))
    _stock(maker)
    waiting = len(list(maker.stems.ahead))
    running = workshop.start(code, **_spec(workshop, network="none"))
    assert int(running.talk.call(b"").body) <= 4, "no device but perhaps the loopback"
    assert len(list(maker.stems.ahead)) == waiting


@pytest.mark.parametrize(
    ("name", "may"),
    [("COLOUR", True), ("NODE_ENV", True), ("NODE_PATH", True), ("TZ", True),
     ("NODE_OPTIONS", False), ("NODE_EXTRA_CA_CERTS", False), ("LD_PRELOAD", False), ("UV_THREADPOOL_SIZE", False)],
)  # fmt: skip
def test_variables_that_node_reads_when_it_starts_ask_for_a_start_of_their_own(name: str, may: bool) -> None:
    assert may_start_ahead({name: "x"}) is may
