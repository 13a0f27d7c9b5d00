"""What every runtime promises, whatever language it runs: one suite over a *subject* per runtime.

A subject is a function that does what its events say. An event that is no JSON object comes back as it was; otherwise:

    {"do": "fail"}            fails with the message "on purpose"
    {"do": "print", "text"}   prints the text and answers "printed"
    {"do": "env", "name"}     answers a variable
    {"do": "context"}         answers {"requestId", "function", "region", "retryCount"} as JSON
    {"do": "state"}           answers "initialized" if its initializer has run
    {"do": "exit", "code"}    ends its process
    {"do": "hang"}            never answers
    {"do": "meet"}            answers "met" once a second request meets it
    {"do": "stream"}          answers "one", "two", "three" in pieces

Its initializer fails with "not today" where the variable INIT_FAILS is set; its pre-stop hook prints "pre-stop ran".
Checks are plain functions, given a workshop and the subject.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from functory.model.instance import RootImage
from functory.runtimes import wire
from functory.testing.checks.sandbox import descendants
from functory.testing.conversation import Answer, Ended
from functory.testing.workshop import Running, Workshop, is_alive

Check: TypeAlias = Callable[[Workshop, "Subject"], None]

FACTS = {"functionName": "subject", "region": "cn-test", "accountId": "42", "timeout": "3", "memory": "512"}
"""What the node says of the function."""


class Subject(msgspec.Struct, kw_only=True):
    """The same function in one runtime."""

    name: str
    files: Mapping[str, bytes]
    """By path in the code."""
    programs: tuple[str, ...] = ()
    """Which of them are executed."""
    spec: Mapping[str, Any]
    """Fields of the `InstanceSpec` that the runtime sets."""
    hook: str = "index.hook"
    initializer: str = "index.initialize"
    missing: Mapping[str, Any]
    """Fields that name code which is not there."""
    decode: Callable[[bytes], bytes] = bytes
    """From an answer to what the function returned; Go answers JSON whatever it returns."""
    binary: bool = True
    """Whether any bytes come back as they were."""
    streams: bool = True
    base: tuple[str, ...] = ()
    """Layers of an image that the files are the uppermost of; empty = the files are code."""

    def make(self, workshop: Workshop, **fields: Any) -> Running:
        """An instance; it may not be ready yet."""
        code = workshop.code("", "empty")
        for path, content in self.files.items():
            target = code / path
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(content)
            target.chmod(0o755 if path in self.programs else 0o644)
        if self.base:
            workshop.give_to_root(code)
            fields["image"] = RootImage(layers=(*self.base, str(code)))
        known: dict[str, Any] = {"memory_mb": 512, "context": FACTS, **self.spec}
        return workshop.make(code, **(known | fields))

    def start(self, workshop: Workshop, **fields: Any) -> Running:
        """An instance that is ready."""
        running = self.make(workshop, **fields)
        running.hello()
        return running


def _event(do: str, **more: object) -> bytes:
    return json.dumps({"do": do, **more}).encode()


def _result(subject: Subject, answer: Answer) -> bytes:
    assert answer.type is wire.Type.RESP, answer.body
    return subject.decode(answer.body)


def _refusal(running: Running) -> tuple[wire.ErrorCode, dict[str, Any]]:
    """Why an instance did not start."""
    frame = running.talk.hello()
    assert frame.type is wire.Type.ERROR, frame
    assert frame.stream == 0
    return wire.ErrorCode(frame.aux), json.loads(frame.payload)


def an_event_comes_back_as_it_was(workshop: Workshop, subject: Subject) -> None:
    running = subject.start(workshop)
    events = [b"x", "täxt".encode(), b"y" * 70_000]
    if subject.binary:
        events += [b"", bytes(range(256))]
    for event in events:
        assert _result(subject, running.talk.call(event)) == event


def a_failure_is_told_and_the_next_request_is_served(workshop: Workshop, subject: Subject) -> None:
    running = subject.start(workshop)
    answer = running.talk.call(_event("fail"))
    assert "on purpose" in str(answer.error["errorMessage"])
    assert answer.error["errorType"]
    assert answer.aux in (wire.ErrorCode.UNHANDLED, wire.ErrorCode.HANDLED)
    assert _result(subject, running.talk.call(b"well")) == b"well"


def what_is_printed_goes_with_its_request(workshop: Workshop, subject: Subject) -> None:
    running = subject.start(workshop)
    first = running.talk.call(_event("print", text="first line"), request_id="1-a")
    second = running.talk.call(_event("print", text="second line"), request_id="1-b")
    assert _result(subject, first) == b"printed"
    assert b"first line\n" in first.log
    assert b"second line\n" in second.log
    assert b"first line" not in second.log
    large = running.talk.call(_event("print", text="z" * 100_000))
    assert large.log.count(b"z") == 100_000


def what_is_printed_side_by_side_goes_with_the_request_it_names(workshop: Workshop, subject: Subject) -> None:
    running = subject.start(workshop, concurrency=4)
    waits = running.talk.send(_event("meet"), request_id="1-waits")
    printed = running.talk.call(_event("print", text="1-prints says this"), request_id="1-prints")
    running.talk.call(_event("meet"), request_id="1-meets")
    assert b"1-prints says this\n" in printed.log
    assert b"says this" not in running.talk.answer(waits).log


def requests_run_side_by_side_up_to_the_concurrency(workshop: Workshop, subject: Subject) -> None:
    running = subject.start(workshop, concurrency=8)
    first = running.talk.send(_event("meet"))
    echoes = [running.talk.send(b"echo %d" % number) for number in range(6)]
    for number, stream in enumerate(echoes):
        assert _result(subject, running.talk.answer(stream)) == b"echo %d" % number
    second = running.talk.send(_event("meet"))
    assert [_result(subject, running.talk.answer(stream)) for stream in (first, second)] == [b"met", b"met"]


def large_payloads_pass_both_ways(workshop: Workshop, subject: Subject) -> None:
    running = subject.start(workshop)
    for size in (1 << 20, 20 << 20):
        event = (b"0123456789abcdef" * (size // 16))[:size]
        assert _result(subject, running.talk.call(event)) == event


def a_stream_flows_in_pieces(workshop: Workshop, subject: Subject) -> None:
    if not subject.streams:
        return
    running = subject.start(workshop)
    answer = running.talk.call(_event("stream"))
    assert _result(subject, answer) == b"onetwothree"
    pieces = [frame for frame in answer.frames if frame.type in (wire.Type.RESP, wire.Type.BODY) and frame.payload]
    assert [piece.payload for piece in pieces] == [b"one", b"two", b"three"]
    assert not pieces[0].meta, "the length is not known when it begins"
    assert _result(subject, running.talk.call(b"next")) == b"next"


def the_environment_is_the_functions_own(workshop: Workshop, subject: Subject) -> None:
    running = subject.start(workshop, environment={"COLOUR": "blue", "PATH": "/usr/local/bin:/usr/bin:/bin"})
    assert _result(subject, running.talk.call(_event("env", name="COLOUR"))) == b"blue"
    assert _result(subject, running.talk.call(_event("env", name="FUNCTORY_CHECK_SECRET"))) == b""


def the_context_says_which_request_and_function_it_is(workshop: Workshop, subject: Subject) -> None:
    running = subject.start(workshop)
    meta = json.dumps({"attempt": 3, "traceParent": "00-1-2-01"}).encode()
    told = []
    for options in ({}, {"meta": meta}):
        stream = running.talk.send(_event("context"), request_id="1-abc", **options)  # type: ignore[arg-type]
        told.append(json.loads(_result(subject, running.talk.answer(stream))))
    known = {"requestId": "1-abc", "function": "subject", "region": "cn-test"}
    assert told == [{**known, "retryCount": 0}, {**known, "retryCount": 2}]


def the_initializer_runs_before_the_first_request(workshop: Workshop, subject: Subject) -> None:
    running = subject.start(workshop, initializer=subject.initializer)
    assert _result(subject, running.talk.call(_event("state"))) == b"initialized"


def a_failed_initializer_is_told(workshop: Workshop, subject: Subject) -> None:
    running = subject.make(workshop, initializer=subject.initializer, environment={"INIT_FAILS": "1"})
    code, told = _refusal(running)
    assert code is wire.ErrorCode.INIT
    assert "not today" in told["errorMessage"]


def code_that_is_not_there_is_named(workshop: Workshop, subject: Subject) -> None:
    running = subject.make(workshop, **subject.missing)
    code, told = _refusal(running)
    assert code is wire.ErrorCode.HANDLER
    assert "nothing_here" in told["errorMessage"]


def the_pre_stop_hook_runs_before_it_goes(workshop: Workshop, subject: Subject) -> None:
    running = subject.start(workshop, pre_stop=subject.hook)
    running.talk.call(b"x")
    running.talk.drain()
    said = b""
    try:
        while True:
            frame = running.talk.read()
            said += frame.payload if frame.type is wire.Type.LOG else b""
    except Ended:
        pass
    assert b"pre-stop ran\n" in said
    exit_ = workshop.end_of(running)
    assert (exit_.code, exit_.signal, exit_.killed) == (0, 0, False)


def an_exit_is_the_instances_end_by_the_same_code(workshop: Workshop, subject: Subject) -> None:
    running = subject.start(workshop)
    running.talk.send(_event("exit", code=3))
    exit_ = workshop.end_of(running)
    assert (exit_.code, exit_.signal, exit_.killed) == (3, 0, False)


def a_request_that_hangs_ends_with_its_whole_tree(workshop: Workshop, subject: Subject) -> None:
    running = subject.start(workshop)
    running.talk.send(_event("hang"))
    tree = {running.box.pid, *descendants(running.box.pid)}
    running.box.kill()
    assert workshop.end_of(running).killed
    assert not [pid for pid in tree if is_alive(pid)]


def the_nodes_end_is_the_instances_end(workshop: Workshop, subject: Subject) -> None:
    running = subject.start(workshop)
    running.talk.call(b"x")
    running.talk.close()
    exit_ = workshop.end_of(running)
    assert (exit_.signal, exit_.killed) == (0, False)


CHECKS: list[Check] = [
    an_event_comes_back_as_it_was,
    a_failure_is_told_and_the_next_request_is_served,
    what_is_printed_goes_with_its_request,
    what_is_printed_side_by_side_goes_with_the_request_it_names,
    requests_run_side_by_side_up_to_the_concurrency,
    large_payloads_pass_both_ways,
    a_stream_flows_in_pieces,
    the_environment_is_the_functions_own,
    the_context_says_which_request_and_function_it_is,
    the_initializer_runs_before_the_first_request,
    a_failed_initializer_is_told,
    code_that_is_not_there_is_named,
    the_pre_stop_hook_runs_before_it_goes,
    an_exit_is_the_instances_end_by_the_same_code,
    a_request_that_hangs_ends_with_its_whole_tree,
    the_nodes_end_is_the_instances_end,
]
