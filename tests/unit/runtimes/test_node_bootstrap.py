"""What is Node.js's own in its runtime; what all share is in the published suite."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from functory.runtimes import wire
from functory.runtimes.node import find_node
from functory.testing.conversation import Ended
from functory.testing.workshop import Running, Workshop, interpreter

BOOTSTRAP = Path(wire.__file__).parent / "bootstrap" / "node.cjs"


class Node:
    """Starts functions of a few lines."""

    def __init__(self, workshop: Workshop, path: str) -> None:
        self._workshop = workshop
        self._argv = (path, "--max-old-space-size=64", "@/node.cjs")

    def make(self, source: str, name: str = "index.js", **fields: Any) -> Running:
        code = self._workshop.code(source, name)
        return self._workshop.make(code, argv=self._argv, reserve_mb=256, **fields)

    def start(self, source: str, name: str = "index.js", **fields: Any) -> Running:
        running = self.make(source, name, **fields)
        running.hello()
        return running


@pytest.fixture
def node(workshop: Workshop) -> Node:
    """This machine's Node.js."""
    found = find_node("", interpreter())
    if found is None:
        pytest.skip("Node.js is not on this machine")
    return Node(workshop, found.resolve("nodejs20")[0])


def test_it_repeats_the_numbers_of_the_protocol() -> None:
    text = BOOTSTRAP.read_text()
    numbers: dict[str, int] = {}
    for names, values in re.findall(r"^const \[([A-Z_, ]+)\] = \[([0-9, ]+)\]", text, re.M):
        numbers |= dict(zip(names.split(", "), map(int, values.split(", ")), strict=True))
    numbers |= {name: int(value) for name, value in re.findall(r"^const ([A-Z_]+) = (\d+)$", text, re.M)}
    for name in ("PROTOCOL", "HEADER_BYTES", "INLINE_BYTES", "PIECE_BYTES"):
        assert numbers[name] == getattr(wire, name), name
    assert {kind.name: numbers[kind.name] for kind in wire.Type} == {kind.name: kind for kind in wire.Type}
    assert {flag.name: numbers[str(flag.name)] for flag in wire.Flag} == {flag.name: flag for flag in wire.Flag}
    told = {code.name: numbers[f"E_{code.name}"] for code in wire.ErrorCode if code is not wire.ErrorCode.MEMORY}
    assert told == {code.name: code for code in wire.ErrorCode if code is not wire.ErrorCode.MEMORY}


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ("(event, context, callback) => callback(null, 'text ü')", "text ü".encode()),
        ("(event, context, callback) => { setTimeout(() => callback(null, { a: [1, null] }), 1) }", b'{"a":[1,null]}'),
        ("(event, context, callback) => { callback(null, 1); callback(null, 2) }", b"1"),
        ("async () => new Uint8Array([1, 2, 3])", b"\x01\x02\x03"),
        ("async () => undefined", b""),
        ("() => 'at once'", b"at once"),
        ("function * () { yield 'a'; yield Buffer.from('b') }", b"ab"),
        ("async () => require('stream').Readable.from(['x', 'y'])", b"xy"),
    ],
)
def test_all_kinds_of_answers_arrive(node: Node, body: str, answer: bytes) -> None:
    assert node.start(f"exports.handler = {body}").talk.call(b"").body == answer


@pytest.mark.parametrize(
    ("body", "code", "kind", "message"),
    [
        ("(e, c, callback) => callback(new RangeError('told'))", wire.ErrorCode.HANDLED, "RangeError", "told"),
        ("(e, c, callback) => callback('text')", wire.ErrorCode.HANDLED, "string", "text"),
        ("() => { throw new TypeError('thrown') }", wire.ErrorCode.UNHANDLED, "TypeError", "thrown"),
        ("async () => { throw { odd: 1 } }", wire.ErrorCode.UNHANDLED, "object", '{"odd":1}'),
        ("async () => 1n", wire.ErrorCode.UNHANDLED, "InvalidReturnType", "BigInt"),
        ("async () => Symbol('x')", wire.ErrorCode.UNHANDLED, "InvalidReturnType", "symbol"),
        ("async function * () { yield 1 }", wire.ErrorCode.UNHANDLED, "InvalidReturnType", "number"),
        ("async () => 'x'.repeat(33 << 20)", wire.ErrorCode.TOO_LARGE, "ResponseTooLarge", "async iterable"),
    ],
)
def test_failures_are_told_apart(node: Node, body: str, code: wire.ErrorCode, kind: str, message: str) -> None:
    running = node.start(f"exports.handler = {body}")
    answer = running.talk.call(b"")
    assert (answer.aux, answer.error["errorType"]) == (code, kind)
    assert message in str(answer.error["errorMessage"])
    assert answer.type is wire.Type.ERROR


def test_the_stack_trace_is_the_functions(node: Node) -> None:
    source = "function deep () { throw new Error('x') }\nexports.handler = async () => { deep() }\n"
    trace = node.start(source).talk.call(b"").error["stackTrace"]
    assert isinstance(trace, list)
    assert re.fullmatch(r"at deep \(.*index\.js:1:26\)", trace[0])
    assert not [line for line in trace if "node.cjs" in line or "node:internal" in line]


def test_es_modules_are_loaded_by_name_and_by_package(node: Node) -> None:
    source = "export const handler = async event => `${event} ${typeof require}`"
    assert node.start(source, "index.mjs").talk.call(b"esm").body == b"esm undefined"
    code = node._workshop.code(source, "index.js")
    (code / "package.json").write_text('{"type": "module"}')
    running = node._workshop.start(code, argv=node._argv, reserve_mb=256)
    assert running.talk.call(b"esm").body == b"esm undefined"


def test_handlers_lie_in_folders_and_modules_in_layers(node: Node) -> None:
    layer = node._workshop.folder / "layer"
    (layer / "nodejs" / "node_modules" / "greet").mkdir(parents=True)
    (layer / "nodejs" / "node_modules" / "greet" / "index.js").write_text("module.exports = name => `hi ${name}`")
    source = "exports.handler = async event => require('greet')(event)"
    running = node.start(source, "src/app.js", handler="src/app.handler", layer_dirs=(str(layer),))
    assert running.talk.call(b"you").body == b"hi you"


def test_a_module_that_fails_to_load_tells_its_own_error(node: Node) -> None:
    frame = node.make("exports.handler = \nnot a program").talk.hello()
    assert (frame.type, frame.aux) == (wire.Type.ERROR, wire.ErrorCode.INIT)
    told = json.loads(frame.payload)
    assert told["errorType"] == "SyntaxError"
    assert "index.js:2" in str(told["stackTrace"])
    frame = node.make("require('nowhere')").talk.hello()
    assert (frame.aux, "nowhere" in json.loads(frame.payload)["errorMessage"]) == (wire.ErrorCode.INIT, True)
    frame = node.make("exports.handler = 3").talk.hello()
    assert (frame.aux, b"is not a function" in frame.payload) == (wire.ErrorCode.HANDLER, True)


def test_the_context_has_the_official_fields(node: Node) -> None:
    source = """
        exports.initialize = context => { globalThis.first = context.requestId }
        exports.handler = async (event, context) => {
          context.logger.warn('careful %d', 1)
          return { ...context, logger: Object.keys(Object.getPrototypeOf(context.logger)), first }
        }
    """
    context = {"functionName": "f", "region": "r", "accountId": "1", "accessKeyId": "k", "qualifier": "LATEST"}
    running = node.start(source, context=context, initializer="index.initialize", memory_mb=512)
    answer = running.talk.call(b"", request_id="1-abc")
    told = json.loads(answer.body)
    assert (told["requestId"], told["region"], told["accountId"], told["first"]) == ("1-abc", "r", "1", "")
    assert told["function"] == {
        "name": "f",
        "handler": "index.handler",
        "memory": 512,
        "timeout": 0,
        "initializer": "index.initialize",
        "initializationTimeout": 3,
    }
    assert told["credentials"]["accessKeyId"] == "k"
    assert told["service"]["qualifier"] == "LATEST"
    assert re.fullmatch(rb"\d{4}-\d\d-\d\dT[\d:.]+Z 1-abc \[warn\] careful 1\n", answer.log)


def test_lines_of_requests_side_by_side_are_told_apart_across_waits(node: Node) -> None:
    source = """
        let arrived = 0, open
        const gate = new Promise(resolve => { open = resolve })
        exports.handler = async event => {
          console.log(`begin ${event}`)
          if (++arrived === 3) open()
          await gate
          console.error(`end ${event}`)
        }
    """
    running = node.start(source, concurrency=8)
    streams = {name: running.talk.send(name, request_id=f"1-{name.decode()}") for name in (b"a", b"b", b"c")}
    for name, stream in streams.items():
        assert running.talk.answer(stream).log == b"begin %b\nend %b\n" % (name, name)


def test_what_nobody_catches_fails_its_request_and_ends_the_process(node: Node) -> None:
    running = node.start("exports.handler = (e, c, callback) => { setTimeout(() => { throw new Error('late') }, 1) }")
    answer = running.talk.call(b"")
    assert answer.error["errorMessage"] == "late"
    assert node._workshop.end_of(running).code == 1
    running = node.start("exports.handler = (e, c, callback) => { Promise.reject(new Error('lost')) }")
    assert running.talk.call(b"").error["errorMessage"] == "lost"


def test_process_exit_is_named_in_the_log(node: Node) -> None:
    running = node.start("exports.handler = async () => { console.log('going'); process.exit(4) }")
    running.talk.send(b"")
    said = [running.talk.read().payload for _ in range(2)]
    with pytest.raises(Ended):
        running.talk.read()
    assert b"".join(said) == b"going\nthe function ended its process: process.exit(4)\n"
    assert node._workshop.end_of(running).code == 4


def test_a_full_heap_is_an_abort_that_says_so(node: Node) -> None:
    running = node.start("exports.handler = async () => { const a = []; for (;;) a.push(new Array(1e4).fill({})) }")
    running.talk.send(b"")
    assert node._workshop.end_of(running).signal == signal.SIGABRT
    assert b"JavaScript heap out of memory" in running.raw_log()


def test_programs_it_starts_inherit_the_log_but_not_the_channel(node: Node) -> None:
    source = """
        const { execFileSync } = require('child_process')
        exports.handler = async () => {
          execFileSync('/bin/echo', ['from a child'], { stdio: 'inherit' })
          return execFileSync('/bin/ls', ['/proc/self/fd']).toString()
        }
    """
    running = node.start(source)
    answer = running.talk.call(b"")
    assert set(answer.body.split()) <= {b"0", b"1", b"2", b"3"}, "3 is the listing's own"
    assert answer.flags & wire.Flag.RAW_LOG
    assert b"from a child\n" in running.raw_log()


def test_credentials_are_renewed_between_requests(node: Node) -> None:
    source = (
        "exports.handler = async (event, context) => "
        "[context.credentials.securityToken, process.env.ALIBABA_CLOUD_SECURITY_TOKEN]"
    )
    running = node.start(
        source,
        context={"accessKeyId": "a", "accessKeySecret": "b", "securityToken": "old"},
        environment={"ALIBABA_CLOUD_SECURITY_TOKEN": "old"},
    )
    assert json.loads(running.talk.call(b"").body) == ["old", "old"]
    told = json.dumps({"accessKeyId": "c", "accessKeySecret": "d", "securityToken": "new"}).encode()
    running.talk.write(wire.frame(0, wire.Type.CREDENTIALS, 0, 0, b"", told))
    assert json.loads(running.talk.call(b"").body) == ["new", "new"]
