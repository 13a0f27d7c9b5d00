"""The Python runtime inside an instance, spoken to over its pipes."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest

from functory.runtimes import wire
from functory.runtimes.bootstrap import fault, output
from functory.testing.conversation import Ended
from functory.testing.workshop import Running, Workshop

ECHO = "def handler(event, context): return event"
ASYNC_ECHO = "async def handler(event, context): return event"
MODES = {
    "blocking": {"concurrency": 1},
    "threads": {"concurrency": 8},
    "async": {"concurrency": 8},
}


def _source(mode: str, body: str) -> str:
    """A handler with this body, plain or asynchronous."""
    head = "async def" if mode == "async" else "def"
    lines = "\n".join("    " + line for line in body.strip("\n").split("\n"))
    return f"import os, sys, time\n{head} handler(event, context):\n{lines}\n"


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Each way of serving."""
    return str(request.param)


# --- the contract -----------------------------------------------------------------------------------------------------


def test_hello_names_the_mode_and_the_times(workshop: Workshop, mode: str) -> None:
    running = workshop.make(_source(mode, "return event"), **MODES[mode])
    hello = json.loads(running.hello().meta)
    assert hello["protocol"] == wire.PROTOCOL
    assert hello["mode"] == mode
    assert hello["pid"] == running.box.pid
    assert hello["importUs"] > 0
    assert hello["initUs"] >= 0


@pytest.mark.parametrize(
    ("returned", "answer"),
    [
        ("b'raw'", b"raw"),
        ("'tëxt'", "tëxt".encode()),
        ("bytearray(b'array')", b"array"),
        ("memoryview(b'0123456789')[::2]", b"02468"),
        ("{'a': [1, None, True], 'b': 'ü'}", '{"a": [1, null, true], "b": "ü"}'.encode()),
        ("[1, 2]", b"[1, 2]"),
        ("7", b"7"),
        ("1.5", b"1.5"),
        ("True", b"true"),
        ("None", b"null"),
        ("b''", b""),
    ],
)
def test_what_a_handler_returns_becomes_bytes(workshop: Workshop, mode: str, returned: str, answer: bytes) -> None:
    running = workshop.start(_source(mode, f"return {returned}"), **MODES[mode])
    got = running.talk.call(b"")
    assert (got.type, got.body) == (wire.Type.RESP, answer)


def test_an_object_that_is_no_answer_is_named_with_its_type(workshop: Workshop, mode: str) -> None:
    running = workshop.start(_source(mode, "return {'when': object()}"), **MODES[mode])
    answer = running.talk.call(b"")
    assert answer.aux == wire.ErrorCode.UNHANDLED
    assert answer.error["errorType"] == "InvalidReturnType"
    assert "'dict'" in str(answer.error["errorMessage"])
    assert "object is not JSON serializable" in str(answer.error["errorMessage"])


def test_the_context_has_the_official_fields(workshop: Workshop) -> None:
    running = workshop.start(
        """
        def handler(event, context):
            function, service, credentials = context.function, context.service, context.credentials
            return {
                "request": context.request_id, "region": context.region, "account": context.account_id,
                "function": [function.name, function.handler, function.memory, function.timeout, function.version_id,
                             function.qualifier],
                "service": [service.name, service.log_project, service.log_store, service.qualifier],
                "credentials": [credentials.access_key_id, credentials.access_key_secret, credentials.security_token],
                "retries": context.retry_count, "trace": context.tracing.span_context,
                "requestId": context.requestId, "accountId": context.accountId,
            }
        """,
        memory_mb=512,
        context={"functionName": "echo", "memory": "512", "timeout": "30", "region": "local", "versionId": "3"},
        environment={"FC_ACCOUNT_ID": "1234", "ALIBABA_CLOUD_ACCESS_KEY_ID": "ak", "FC_QUALIFIER": "live"},
    )
    facts = json.dumps({"attempt": 3, "traceParent": "00-ab-cd-01"}).encode()
    answer = running.talk.answer(running.talk.send(b"", request_id="1-a-b", meta=facts))
    assert json.loads(answer.body) == {
        "request": "1-a-b",
        "requestId": "1-a-b",
        "region": "local",
        "account": "1234",
        "accountId": "1234",
        "function": ["echo", "index.handler", 512, 30, "3", "live"],
        "service": ["", "", "", "live"],
        "credentials": ["ak", "", ""],
        "retries": 2,
        "trace": "00-ab-cd-01",
    }
    later = json.loads(running.talk.call(b"").body)
    assert (later["retries"], later["trace"]) == (0, ""), "nothing of a request stays for the next"


def test_credentials_are_renewed_between_requests(workshop: Workshop, mode: str) -> None:
    source = _source(mode, "return [context.credentials.security_token, os.environ['ALIBABA_CLOUD_SECURITY_TOKEN']]")
    running = workshop.start(
        source,
        context={"accessKeyId": "a", "accessKeySecret": "b", "securityToken": "old"},
        environment={"ALIBABA_CLOUD_SECURITY_TOKEN": "old"},
        **MODES[mode],
    )
    assert json.loads(running.talk.call(b"").body) == ["old", "old"]
    told = json.dumps({"accessKeyId": "c", "accessKeySecret": "d", "securityToken": "new"}).encode()
    running.talk.write(wire.frame(0, wire.Type.CREDENTIALS, 0, 0, b"", told))
    assert json.loads(running.talk.call(b"").body) == ["new", "new"]
    running.talk.write(wire.frame(0, wire.Type.CREDENTIALS, 0, 0, b"", told.replace(b"new", b"newer")))
    assert json.loads(running.talk.call(b"x" * 300_000).body) == ["newer", "newer"]


def test_code_comes_before_layers_and_layers_in_their_order(workshop: Workshop) -> None:
    layers = [workshop.code(f"name = 'layer {n}'", "python/where.py") for n in (1, 2)]
    site = workshop.code("found = True", "python/deep.py")
    (site / "python/lib").mkdir()
    packages = site / f"python/lib/python{'.'.join(_version(workshop).split('.')[:2])}/site-packages"
    packages.mkdir(parents=True)
    (packages / "packaged.py").write_text("found = True")
    code = workshop.code("import where, deep, packaged\ndef handler(event, context): return where.name", "pkg/mod.py")
    (code / "deep.py").write_text("")
    folders = tuple(map(str, (*layers, site)))
    for handler in ("pkg/mod.handler", "pkg.mod.handler"):
        running = workshop.start(code, handler=handler, layer_dirs=folders)
        assert running.talk.call(b"").body == b"layer 1"


def _version(workshop: Workshop) -> str:
    source = "import platform\ndef handler(event, context): return platform.python_version()"
    return workshop.start(source).talk.call(b"").body.decode()


def test_only_the_standard_library_and_the_code_can_be_imported(workshop: Workshop) -> None:
    running = workshop.start(
        """
        import sys, sqlite3, decimal
        def handler(event, context):
            found = []
            for name in ("functory", "msgspec", "pytest", "yaml"):
                try:
                    __import__(name)
                    found.append(name)
                except ImportError:
                    pass
            return {"found": found, "packages": [path for path in sys.path if "-packages" in path]}
        """
    )
    assert json.loads(running.talk.call(b"").body) == {"found": [], "packages": []}


def test_the_initializer_runs_once_before_hello_and_pre_stop_at_the_end(workshop: Workshop, mode: str) -> None:
    hook = "async def" if mode == "async" else "def"
    running = workshop.make(
        f"""
import os
state = []
{hook} init(context): state.append(context.function.handler)
{hook} handler(event, context): return str(state)
{hook} bye(context):
    print("bye", context.request_id)
    os.write(1, b"raw bye")
""",
        initializer="index.init",
        pre_stop="index.bye",
        **MODES[mode],
    )
    running.hello()
    for _ in range(2):
        assert running.talk.call(b"").body == b"['index.handler']"
    running.talk.drain()
    assert running.talk.read().payload == b"bye \n"
    with pytest.raises(Ended):
        running.talk.read()
    assert workshop.end_of(running).describe() == "exit code 0"
    assert running.raw_log() == b"raw bye"


def test_the_end_of_the_channel_is_the_end_of_the_instance(workshop: Workshop, mode: str) -> None:
    running = workshop.start(_source(mode, "return event"), **MODES[mode])
    running.talk.call(b"x")
    running.talk.close()
    assert workshop.end_of(running).describe() == "exit code 0"


def test_interpreters_say_the_same_text_whatever_the_locale(workshop: Workshop) -> None:
    running = workshop.start("import sys\ndef handler(event, context): print('ü'); return open(__file__).encoding")
    answer = running.talk.call(b"")
    assert (answer.body, answer.log) == (b"utf-8", "ü\n".encode())


# --- large payloads and streams ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 131072, 1_000_003, 32 << 20])
def test_payloads_of_any_size_come_back_as_they_went(workshop: Workshop, size: int) -> None:
    running = workshop.start(ECHO, memory_mb=1024)
    _echo_large(running, size)


@pytest.mark.parametrize("size", [65537, 3_000_001])
def test_large_payloads_pass_in_concurrent_modes_too(workshop: Workshop, mode: str, size: int) -> None:
    _echo_large(workshop.start(_source(mode, "return event"), memory_mb=512, **MODES[mode]), size)


def _echo_large(running: Running, size: int) -> None:
    payload = os.urandom(min(size, 1 << 20)) * (size // (1 << 20) + 1)
    payload = payload[:size]
    answer = running.talk.call(payload)
    assert answer.body == payload
    pieces = [frame for frame in answer.frames if frame.type in (wire.Type.RESP, wire.Type.BODY)]
    assert max(len(frame.payload) for frame in pieces) <= wire.PIECE_BYTES
    assert all(frame.flags & wire.Flag.END for frame in pieces[-1:])
    if size > wire.INLINE_BYTES:
        assert pieces[0].meta == size.to_bytes(8, "little")
    assert running.talk.call(b"next").body == b"next"


def test_an_answer_over_the_limit_is_refused_and_the_instance_lives(workshop: Workshop, mode: str) -> None:
    running = workshop.start(_source(mode, "return bytes(int(event))"), memory_mb=512, **MODES[mode])
    answer = running.talk.call(str((32 << 20) + 1).encode())
    assert answer.aux == wire.ErrorCode.TOO_LARGE
    assert "33554433 bytes" in str(answer.error["errorMessage"])
    assert running.talk.call(b"2").body == b"\0\0"


def test_a_generator_flows_piece_by_piece(workshop: Workshop, mode: str) -> None:
    body = "for word in ('one ', b'two ', bytearray(b'three')):\n    print(word)\n    yield word"
    running = workshop.start(_source(mode, body), **MODES[mode])
    answer = running.talk.call(b"")
    flow = [(frame.type, bytes(frame.payload)) for frame in answer.frames if frame.type is not wire.Type.LOG]
    assert flow == [
        (wire.Type.RESP, b"one "),
        (wire.Type.BODY, b"two "),
        (wire.Type.BODY, b"three"),
        (wire.Type.BODY, b""),
    ]
    assert answer.frames[1].meta == b""
    assert answer.log == b"one \nb'two '\nbytearray(b'three')\n"


def test_each_piece_of_a_stream_leaves_at_once(workshop: Workshop) -> None:
    running = workshop.start("import os\ndef handler(event, context):\n yield 'first'\n yield open(event).read()")
    fifo = workshop.folder / f"fifo-{time.monotonic_ns()}"
    os.mkfifo(fifo)
    fifo.chmod(0o666)
    stream = running.talk.send(str(fifo).encode())
    assert running.talk.read().payload == b"first"  # the handler hangs in its second piece
    fifo.write_text("second")
    assert running.talk.answer(stream).body == b"second"


def test_an_empty_stream_is_an_empty_answer_and_a_failing_one_an_error(workshop: Workshop, mode: str) -> None:
    body = "if event == b'fail': raise KeyError('early')\nif event:\n    yield 'a'\n    raise ValueError('late')"
    running = workshop.start(_source(mode, body), **MODES[mode])
    assert running.talk.call(b"").body == b""
    assert running.talk.call(b"fail").error["errorType"] == "KeyError"
    answer = running.talk.call(b"late")
    assert [frame.type for frame in answer.frames] == [wire.Type.RESP, wire.Type.ERROR]
    assert answer.error["errorMessage"] == "late"


def test_a_cancelled_stream_stops_early(workshop: Workshop) -> None:
    running = workshop.start(
        """
        stopped = []
        def handler(event, context):
            if event == b"stopped": return str(stopped)
            def flow():
                try:
                    while True:
                        yield b"x" * 1000
                finally:
                    stopped.append(context.request_id)
            return flow()
        """
    )
    stream = running.talk.send(b"", request_id="1-cancelled")
    running.talk.read()
    running.talk.cancel(stream)
    follower = running.talk.send(b"stopped")
    running.talk.answer(stream)
    assert running.talk.answer(follower).body == b"['1-cancelled']"


# --- output -----------------------------------------------------------------------------------------------------------


def test_what_is_printed_belongs_to_its_request(workshop: Workshop, mode: str) -> None:
    body = "print('a', event.decode())\nsys.stderr.write('b')\nsys.stdout.buffer.write(b'c')\nreturn 'done'"
    running = workshop.start("print('at import')\n" + _source(mode, body), **MODES[mode])
    assert running.talk.early_log() == b"at import\n"
    for name in (b"1", b"2"):
        answer = running.talk.call(name)
        assert (answer.body, answer.log) == (b"done", b"a %s\nbc" % name)


def test_a_line_is_sent_before_the_handler_goes_on(workshop: Workshop) -> None:
    running = workshop.start("import time\ndef handler(event, context):\n print('hangs'); time.sleep(999)")
    running.talk.send(b"")
    assert running.talk.read().payload == b"hangs\n"


def test_output_is_bounded_per_request_and_the_loss_is_told(workshop: Workshop, mode: str) -> None:
    body = "line = 'x' * 99\nfor _ in range(int(event)): print(line)\nreturn 'done'"
    running = workshop.start(_source(mode, body), **MODES[mode])
    answer = running.talk.call(b"1000000")  # 100 MB
    assert answer.body == b"done"
    dropped = 100_000_000 - output.REQUEST_BYTES
    assert len(answer.log) < output.REQUEST_BYTES + 200
    assert answer.log.endswith(
        b"[... %d bytes of output dropped: one request may print %d bytes ...]\n" % (dropped, output.REQUEST_BYTES)
    )
    assert running.talk.call(b"1").log == b"x" * 99 + b"\n"


def test_logging_has_the_official_shape(workshop: Workshop, mode: str) -> None:
    body = "context.logger.info('hello %s', 'you')\nimport logging\nlogging.getLogger('a.b').error('bad')"
    running = workshop.start(_source(mode, body), **MODES[mode])
    lines = running.talk.call(b"", request_id="1-abc").log.decode().splitlines()
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(stamp + r" 1-abc \[INFO\] hello you", lines[0])
    assert re.fullmatch(stamp + r" 1-abc \[ERROR\] bad", lines[1])


def test_logging_outside_a_request_has_no_id(workshop: Workshop) -> None:
    running = workshop.start("import logging\nlogging.warning('at import')\n" + ECHO)
    assert running.talk.early_log().endswith(b"Z - [WARNING] at import\n")


def test_raw_output_is_flagged_on_the_answer_or_the_error(workshop: Workshop, mode: str) -> None:
    body = """
if event == b'quiet': return event
import subprocess
subprocess.run(['/bin/echo', 'from', 'echo'], stdout=sys.stdout)
if event: raise ValueError
return 'done'
"""
    running = workshop.start(_source(mode, body), **MODES[mode])
    assert not running.talk.call(b"quiet").flags & wire.Flag.RAW_LOG
    for event in (b"", b"fail"):
        assert running.talk.call(event).flags & wire.Flag.RAW_LOG
        assert running.raw_log() == b"from echo\n"
    assert not running.talk.call(b"quiet").flags & wire.Flag.RAW_LOG


# --- failures ---------------------------------------------------------------------------------------------------------


def test_an_exception_is_told_in_the_official_shape(workshop: Workshop, mode: str) -> None:
    head = "async def" if mode == "async" else "def"
    source = f"def deep(n):\n    raise KeyError(n)\n{head} handler(event, context):\n    return deep('gone')\n"
    running = workshop.start(source, **MODES[mode])
    answer = running.talk.call(b"")
    path = json.loads(answer.body)["stackTrace"][0].split('"')[1]
    assert (answer.aux, answer.error) == (
        wire.ErrorCode.UNHANDLED,
        {
            "errorMessage": "'gone'",
            "errorType": "KeyError",
            "stackTrace": [
                f"File \"{path}\", line 4, in handler\n    return deep('gone')",
                f'File "{path}", line 2, in deep\n    raise KeyError(n)',
            ],
        },
    )
    assert running.talk.call(b"").type is wire.Type.ERROR, "the instance lives on"


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        ("raise ValueError('x' * 10_000_000)", "ValueError", r"x{32768} … \(cut: 10000000 characters in all\)"),
        ("class E(Exception):\n    def __str__(self): return 1/0\nraise E", "E", "<the exception's own text .*Zero.*>"),
        ("class E(Exception):\n    def __str__(self): return 7\nraise E", "E", "<the exception's own text .*Type.*>"),
        ("def f(n): return f(n + 1)\nf(0)", "RecursionError", "maximum recursion depth.*"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", ""),
        ("raise GeneratorExit('odd')", "GeneratorExit", "odd"),
        ("raise EOFError('mine')", "EOFError", "mine"),
        ("raise BrokenPipeError('mine')", "BrokenPipeError", "mine"),
        ("return '\\ud800'", "UnicodeEncodeError", ".*surrogates not allowed"),
        ("import nothing_here", "ModuleNotFoundError", "No module named 'nothing_here'"),
        ("a = []; a.append(a); return a", "InvalidReturnType", ".*'list'.*Circular.*"),
        ("raise ExceptionGroup('many', [ValueError(1)])", "ExceptionGroup", "many .*"),
    ],
)
def test_odd_exceptions_are_told_and_survived(
    workshop: Workshop, mode: str, body: str, kind: str, message: str
) -> None:
    running = workshop.start(_source(mode, body), **MODES[mode])
    answer = running.talk.call(b"")
    assert answer.error["errorType"] == kind
    assert re.fullmatch(message, str(answer.error["errorMessage"]), re.DOTALL)
    assert len(answer.body) <= fault.ERROR_BYTES
    assert running.talk.call(b"").error["errorType"] == kind, "the instance lives on"


def test_a_deep_recursion_shows_its_outer_and_inner_calls(workshop: Workshop) -> None:
    running = workshop.start("def down(n): return down(n + 1)\ndef handler(event, context): return down(0)")
    trace = running.talk.call(b"").error["stackTrace"]
    assert isinstance(trace, list)
    assert "in handler" in trace[0]
    assert len(trace) < 100
    assert any("more calls" in line for line in trace)


def test_memory_errors_have_their_own_code(workshop: Workshop, mode: str) -> None:
    running = workshop.start(_source(mode, "return str(len(bytearray(4 << 30)))"), **MODES[mode])
    answer = running.talk.call(b"")
    assert (answer.aux, answer.error["errorType"]) == (wire.ErrorCode.MEMORY, "MemoryError")


def test_running_out_of_memory_bit_by_bit_is_told_too(workshop: Workshop) -> None:
    running = workshop.start(
        "def handler(event, context):\n hold = []\n while True: hold.append('x' * 1000 + str(hold[-1:]))"
    )
    answer = running.talk.call(b"")
    assert answer.aux == wire.ErrorCode.MEMORY


@pytest.mark.parametrize(
    ("how", "code"), [("sys.exit(3)", 3), ("sys.exit()", 0), ("sys.exit('why')", 1), ("os._exit(9)", 9)]
)
def test_an_exit_in_a_handler_ends_the_process_with_its_code(
    workshop: Workshop, mode: str, how: str, code: int
) -> None:
    running = workshop.start(_source(mode, f"print('last words')\n{how}"), **MODES[mode])
    running.talk.send(b"")
    assert running.talk.read().payload == b"last words\n"
    with pytest.raises(Ended):
        running.talk.read()
    assert workshop.end_of(running).describe() == f"exit code {code}"


@pytest.mark.parametrize(
    ("source", "fields", "code", "kind", "words"),
    [
        ("import no_such", {}, wire.ErrorCode.INIT, "ModuleNotFoundError", "No module named 'no_such'"),
        ("def handler(:", {}, wire.ErrorCode.INIT, "SyntaxError", "invalid syntax"),
        ("1/0", {}, wire.ErrorCode.INIT, "ZeroDivisionError", "division by zero"),
        ("x = 1", {}, wire.ErrorCode.HANDLER, "HandlerNotFound", "'handler' is missing in module 'index'"),
        ("handler = 1", {}, wire.ErrorCode.HANDLER, "HandlerNotFound", "cannot be called"),
        (ECHO, {"handler": "main.handler"}, wire.ErrorCode.HANDLER, "ImportModuleError", "there is no main.py"),
        (ECHO, {"handler": "a/b.handler"}, wire.ErrorCode.HANDLER, "ImportModuleError", "there is no a/b.py"),
        (ECHO, {"handler": "handler"}, wire.ErrorCode.HANDLER, "HandlerNotFound", "file.function"),
        (ECHO, {"initializer": "index.no"}, wire.ErrorCode.HANDLER, "HandlerNotFound", "initializer 'no' is missing"),
        (ECHO + "\ndef init(c): [][1]", {"initializer": "index.init"}, wire.ErrorCode.INIT, "IndexError", "range"),
    ],
)
def test_code_that_cannot_start_says_why_and_ends(
    workshop: Workshop, source: str, fields: dict[str, str], code: int, kind: str, words: str
) -> None:
    running = workshop.make("print('begun')\n" + source, **fields)
    frame = running.talk.hello()
    assert (frame.type, frame.stream, frame.aux) == (wire.Type.ERROR, 0, code)
    error = json.loads(frame.payload)
    assert error["errorType"] == kind
    assert words in error["errorMessage"]
    if code == wire.ErrorCode.INIT and "initializer" not in fields:
        assert f"{workshop.folder}/" in error["stackTrace"][-1]
        assert "/index.py" in error["stackTrace"][-1]
    assert workshop.end_of(running).code == 1
    if kind != "SyntaxError" and "handler" not in fields:
        assert running.talk.early_log() == b"begun\n"


# --- hostile functions ------------------------------------------------------------------------------------------------


def test_a_segmentation_fault_is_an_end_by_signal(workshop: Workshop) -> None:
    running = workshop.start("import ctypes\ndef handler(event, context): ctypes.string_at(0)")
    running.talk.send(b"")
    assert workshop.end_of(running).describe() == "signal 11"


def test_a_forked_child_that_leaves_the_handler_does_not_answer(workshop: Workshop, mode: str) -> None:
    body = (
        "pid = os.fork()\nprint('child' if pid == 0 else 'parent')\nif pid: os.waitpid(pid, 0)\nreturn str(os.getpid())"
    )
    running = workshop.start(_source(mode, body), **MODES[mode])
    answer = running.talk.call(b"")
    assert answer.body == str(running.box.pid).encode()
    assert answer.log == b"parent\n"
    assert running.raw_log() == b"child\n"
    assert running.talk.call(b"").body == str(running.box.pid).encode()


def test_garbage_on_the_reply_pipe_is_the_nodes_to_see_and_a_kill_ends_it(workshop: Workshop) -> None:
    running = workshop.start(
        "import os, time\ndef handler(event, context):\n os.write(4, b'\\xff' * 64); time.sleep(999)"
    )
    running.talk.send(b"")
    with pytest.raises((AssertionError, ValueError)):
        running.talk.read()
    running.box.kill()
    assert workshop.end_of(running).killed


def test_a_function_that_closes_its_channel_ends(workshop: Workshop, mode: str) -> None:
    running = workshop.start(_source(mode, "os.closerange(3, 5)"), **MODES[mode])
    running.talk.send(b"")
    with pytest.raises(Ended):
        running.talk.read()
    running.box.kill()
    workshop.end_of(running)


def test_a_function_that_closes_its_output_still_answers(workshop: Workshop, mode: str) -> None:
    running = workshop.start(
        _source(mode, "os.close(1); os.close(2) if not event else 0\nreturn 'done'"), **MODES[mode]
    )
    assert running.talk.call(b"").body == b"done"


def test_a_raw_flood_blocks_only_until_it_is_read(workshop: Workshop) -> None:
    running = workshop.start("import os\ndef handler(event, context):\n os.write(1, b'x' * 300_000); return 'done'")
    stream = running.talk.send(b"")
    read = 0
    while read < 300_000:
        read += len(running.raw_log())
    assert running.talk.answer(stream).body == b"done"


def test_copies_of_one_zygote_draw_different_numbers(workshop: Workshop) -> None:
    code = workshop.code(
        "import random, ssl, tempfile, uuid\ndef handler(event, context): return [random.random(), "
        "ssl.RAND_bytes(8).hex(), str(uuid.uuid4()), next(tempfile._get_candidate_names())]"
    )
    draws = [json.loads(workshop.start(code).talk.call(b"").body) for _ in range(3)]
    assert all(len(set(column)) == 3 for column in zip(*draws, strict=True))


# --- one at a time ----------------------------------------------------------------------------------------------------


def test_requests_that_came_together_are_run_one_after_another_and_all_answered(workshop: Workshop) -> None:
    running = workshop.start(
        """
        busy = []
        def handler(event, context):
            busy.append(1)
            try:
                if event == b"bad": raise ValueError("bad")
                print(event.decode())
                return b"%d %s" % (len(busy), event)
            finally:
                busy.pop()
        """
    )
    events = [b"%d" % n if n % 7 else b"bad" for n in range(1, 300)]
    data = b"".join(
        wire.frame(n, wire.Type.REQ, wire.Flag.END, 3000, b"1-%d" % n, event) for n, event in enumerate(events, 1)
    )
    running.talk.write(data)
    for n, event in enumerate(events, 1):
        answer = running.talk.answer(n)
        if event == b"bad":
            assert answer.error["errorMessage"] == "bad"
        else:
            assert (answer.body, answer.log) == (b"1 " + event, event + b"\n")


def test_an_answer_does_not_wait_for_a_slow_request_behind_it(workshop: Workshop) -> None:
    """Once a function was slow, its answers leave before the next request runs."""
    running = workshop.start("def handler(event, context): return open(event).read() if event else 'quick'")
    fifo = workshop.folder / f"fifo-{time.monotonic_ns()}"
    os.mkfifo(fifo)
    fifo.chmod(0o666)
    first = running.talk.send(str(fifo).encode())
    time.sleep(0.01)  # the handler's own slowness is what is tested
    fifo.write_text("slow")
    assert running.talk.answer(first).body == b"slow"
    running.talk.write(
        wire.frame(11, wire.Type.REQ, wire.Flag.END, 3000, b"1-a", b"")
        + wire.frame(12, wire.Type.REQ, wire.Flag.END, 3000, b"1-b", str(fifo).encode())
    )
    assert running.talk.answer(11).body == b"quick"  # while the second hangs
    fifo.write_text("end")
    assert running.talk.answer(12).body == b"end"


def test_a_plain_handler_may_return_a_coroutine(workshop: Workshop) -> None:
    running = workshop.start(
        "import asyncio\nasync def work(event):\n await asyncio.sleep(0); return event\n"
        "def handler(event, context): return work(event)"
    )
    for event in (b"a", b"b"):
        assert running.talk.call(event).body == event


# --- side by side -----------------------------------------------------------------------------------------------------

MEET = """
import asyncio, threading
gate = threading.Barrier(4)
waiting = []
"""


def test_threads_run_requests_side_by_side(workshop: Workshop) -> None:
    running = workshop.start(
        MEET + "def handler(event, context):\n gate.wait(15); print(event.decode()); return context.request_id",
        concurrency=4,
    )
    streams = [running.talk.send(b"%d" % n, request_id=f"1-{n}") for n in range(4)]
    for n, stream in enumerate(streams):
        answer = running.talk.answer(stream)
        assert (answer.body, answer.log) == (b"1-%d" % n, b"%d\n" % n)


ASYNC_MEET = """
import asyncio, contextvars
mine = contextvars.ContextVar("mine", default=None)
count, gate = 0, asyncio.Event()
async def handler(event, context):
    global count
    before = mine.get()
    mine.set(event)
    task = asyncio.current_task()
    if event != b"alone":
        count += 1
        if count == 4: gate.set()
        async with asyncio.timeout(15):
            await gate.wait()
        await asyncio.sleep(0)
    print(event.decode())
    same = asyncio.current_task() is task and mine.get() == event
    return f"{context.request_id} {before} {same}"
"""


def test_coroutines_run_side_by_side_each_in_its_own_task_and_context(workshop: Workshop) -> None:
    running = workshop.start(ASYNC_MEET, concurrency=4)
    streams = [running.talk.send(b"%d" % n, request_id=f"1-{n}") for n in range(4)]
    for n, stream in enumerate(streams):
        answer = running.talk.answer(stream)
        assert (answer.body.decode(), answer.log) == (f"1-{n} None True", b"%d\n" % n)
    for _ in range(2):
        assert running.talk.call(b"alone", request_id="1-x").body == b"1-x None True"


def test_no_more_coroutines_run_at_once_than_allowed(workshop: Workshop) -> None:
    running = workshop.start(
        """
        import asyncio
        now = most = 0
        async def handler(event, context):
            global now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.001)
            now -= 1
            return str(most)
        """,
        concurrency=2,
    )
    streams = [running.talk.send(b"") for _ in range(9)]
    assert {running.talk.answer(stream).body for stream in streams} <= {b"1", b"2"}


def test_a_cancelled_coroutine_is_cancelled_and_answered(workshop: Workshop) -> None:
    running = workshop.start(
        "import asyncio\nasync def handler(event, context):\n print('begun'); await asyncio.Event().wait()",
        concurrency=2,
    )
    stream = running.talk.send(b"")
    assert running.talk.read().payload == b"begun\n"
    running.talk.cancel(stream)
    assert running.talk.answer(stream).error["errorType"] == "CancelledError"


@pytest.mark.parametrize(
    "wait", ["", "await asyncio.sleep(0); ", "await asyncio.sleep(0.001); "], ids=["at once", "a turn", "later"]
)
def test_a_coroutine_that_cancels_itself_fails_alone(workshop: Workshop, wait: str) -> None:
    running = workshop.start(
        "import asyncio\nasync def handler(event, context):\n"
        f" {wait}\n if event: asyncio.current_task().cancel(); await asyncio.sleep(1)\n return 'well'".replace(
            " \n", " pass\n"
        ),
        concurrency=2,
    )
    assert running.talk.call(b"x").error["errorType"] == "CancelledError"
    assert running.talk.call(b"").body == b"well"
    assert running.talk.call(b"x").error["errorType"] == "CancelledError"


def test_task_groups_and_queues_work_from_the_first_step(workshop: Workshop) -> None:
    running = workshop.start(
        """
        import asyncio
        async def double(n):
            await asyncio.sleep(0)
            return 2 * n
        async def handler(event, context):
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(double(n)) for n in range(3)]
            return [task.result() for task in tasks] + list(await asyncio.gather(double(5), double(6)))
        """,
        concurrency=2,
    )
    for _ in range(2):
        assert json.loads(running.talk.call(b"").body) == [0, 2, 4, 10, 12]


def test_a_drained_instance_finishes_what_it_runs(workshop: Workshop, mode: str) -> None:
    wait = (
        "import asyncio\nwhile not os.path.exists(event): await asyncio.sleep(0.001)"
        if mode == "async"
        else ("while not os.path.exists(event): time.sleep(0.001)")
    )
    running = workshop.start(_source(mode, f"print('begun')\n{wait}\nreturn 'done'"), **MODES[mode])
    sign: Path = workshop.folder / f"sign-{time.monotonic_ns()}"
    stream = running.talk.send(str(sign).encode())
    assert running.talk.read().payload == b"begun\n"
    running.talk.drain()
    sign.touch()
    assert running.talk.answer(stream).body == b"done"
    assert workshop.end_of(running).describe() == "exit code 0"
