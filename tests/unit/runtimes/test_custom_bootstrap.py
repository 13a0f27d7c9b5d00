"""The supervisor of a program of the function's own: its start, its port, its answers, its end."""

from __future__ import annotations

import json
import signal
import socket
import textwrap
from pathlib import Path
from typing import Any

import pytest

from functory.model.function import HealthCheck
from functory.model.instance import Program
from functory.runtimes import wire
from functory.testing.workshop import Running, Workshop

SERVER = """
import json, os, signal, socket, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def event(self):
        return self.rfile.read(int(self.headers.get("content-length", 0)))
    def answer(self, body=b"", status=200, **headers):
        self.send_response(status)
        for name, value in headers.items(): self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
{body}
ThreadingHTTPServer(("0.0.0.0", {port}), Handler).serve_forever()
"""


def _server(body: str, port: str = 'int(os.environ["PORT"])') -> str:
    return SERVER.format(body=textwrap.indent(textwrap.dedent(body).strip("\n"), "    "), port=port)


def _start(workshop: Workshop, source: str, *, make: bool = False, **fields: Any) -> Running:
    """An instance of `app.py`."""
    program = Program(command=("python3", "/code/app.py"), **fields.pop("program", {}))
    code = workshop.code("", "empty")
    (code / "app.py").write_text(source)  # not indented like the sources of a test
    running = workshop.make(code, program=program, reserve_mb=512, **fields)
    if not make:
        running.hello()
    return running


def _refusal(running: Running) -> tuple[wire.ErrorCode, str]:
    frame = running.talk.hello()
    assert frame.type is wire.Type.ERROR, frame
    return wire.ErrorCode(frame.aux), json.loads(frame.payload)["errorMessage"]


ECHO = _server("def do_POST(self): self.answer(self.event())")


# --- start ------------------------------------------------------------------------------------------------------------


def test_each_instance_has_a_port_of_its_own_and_is_told_it(workshop: Workshop) -> None:
    source = _server(
        """
        def do_POST(self):
            names = ("PORT", "FC_SERVER_PORT", "FC_CUSTOM_LISTEN_PORT")
            self.answer(json.dumps([os.environ[name] for name in names]).encode())
        """
    )
    told = [json.loads(_start(workshop, source).talk.call(b"").body) for _ in range(2)]
    assert all(len(set(ports)) == 1 for ports in told)
    assert told[0] != told[1]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_fixed_port_is_kept_and_one_that_is_taken_is_named(workshop: Workshop) -> None:
    port = _free_port()
    source = _server("def do_POST(self): self.answer(self.headers['host'].encode())", port=str(port))
    running = _start(workshop, source, program={"port": port})
    assert running.talk.call(b"").body == f"127.0.0.1:{port}".encode()
    code, why = _refusal(_start(workshop, source, make=True, program={"port": port}))
    assert code is wire.ErrorCode.HANDLER
    assert f"port {port} is taken" in why


def test_a_variable_port_of_the_users_own_fixes_it_too(workshop: Workshop) -> None:
    port = _free_port()
    running = _start(workshop, ECHO, environment={"PORT": str(port), "PATH": "/usr/bin:/bin"})
    assert running.talk.call(b"x").body == b"x"
    with socket.create_connection(("127.0.0.1", port), 5):
        pass


def test_a_program_that_never_asks_for_its_port_is_found_on_9000(workshop: Workshop) -> None:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 9000)) == 0:
            pytest.skip("cannot be shown here: port 9000 is taken on this machine")
    running = _start(workshop, _server("def do_POST(self): self.answer(self.event())", port="9000"))
    assert running.talk.call(b"x").body == b"x"


def test_a_program_that_ends_before_it_listens_is_told_with_its_last_words(workshop: Workshop) -> None:
    running = _start(workshop, "import nowhere_to_be_found", make=True)
    code, why = _refusal(running)
    assert code is wire.ErrorCode.HANDLER
    assert "exit code 1 before it listened" in why
    assert "nowhere_to_be_found" in why
    assert workshop.end_of(running).code == 1


def test_a_program_that_never_listens_is_told_so(workshop: Workshop) -> None:
    _, why = _refusal(_start(workshop, "import time; time.sleep(99)", make=True, start_timeout_s=1))
    assert "nothing listens on port" in why


def test_files_that_cannot_be_run_are_told_apart(workshop: Workshop) -> None:
    code = workshop.code("plain", "plain")
    (code / "no-interpreter").write_text("#!/nowhere/python\n")
    (code / "no-program").write_bytes(b"\x7fELF nothing")
    for name in ("no-interpreter", "no-program"):
        (code / name).chmod(0o755)
    for command, words in {
        "/code/bootstrap": "is not in the code",
        "/code/plain": "chmod +x",
        "/code/no-interpreter": "interpreter in its #! line",
        "/code/no-program": "another machine",
        "nowhere-on-path": "no program 'nowhere-on-path'",
    }.items():
        running = workshop.make(code, program=Program(command=(command,)), reserve_mb=512)
        got, why = _refusal(running)
        assert got is wire.ErrorCode.HANDLER
        assert words in why, (command, why)


# --- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "failed", "message"),
    [
        ("self.answer(b'plain', 404)", True, "answered HTTP 404: plain"),
        ("self.answer(b'oops', 500)", True, "answered HTTP 500: oops"),
        ("self.answer(b'said so', x_fc_status='404')", True, "said so"),
        ("self.answer(b'fine', 500, x_fc_status='200')", False, "fine"),
        ("self.answer(b'fine', 302)", False, "fine"),
        ("self.answer(b'fine', 201)", False, "fine"),
    ],
)
def test_what_counts_as_a_failure_is_said_by_status_and_header(
    workshop: Workshop, call: str, failed: bool, message: str
) -> None:
    answer = _start(workshop, _server(f"def do_POST(self): self.event(); {call}")).talk.call(b"")
    assert (answer.type is wire.Type.ERROR) is failed
    assert message in (str(answer.error["errorMessage"]) if failed else answer.body.decode())


def test_a_connection_is_kept_and_one_that_the_server_closes_is_not_used_again(workshop: Workshop) -> None:
    source = _server(
        """
        def do_POST(self):
            event = self.event()
            if event == b"close": self.close_connection = True
            self.answer(str(self.client_address[1]).encode(), connection="close" if event == b"close" else "keep-alive")
        """
    )
    talk = _start(workshop, source).talk
    ports = [talk.call(event).body for event in (b"", b"", b"close", b"")]
    assert ports[0] == ports[1] == ports[2] != ports[3]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("self.connection.shutdown(2)", "closed the connection before it had answered"),
        ("self.wfile.write(b'nonsense\\r\\n\\r\\n')", "is not HTTP"),
        (
            "self.wfile.write(b'HTTP/1.1 200 OK\\r\\ncontent-length: 9\\r\\n\\r\\nx'); self.close_connection = True",
            "closed",
        ),
    ],
)
def test_a_server_that_breaks_off_is_a_failure_and_serves_the_next(workshop: Workshop, body: str, message: str) -> None:
    source = _server(
        f"""
        def do_POST(self):
            if self.event() == b"well":
                self.answer(b"well")
            else:
                {body}
        """
    )
    talk = _start(workshop, source).talk
    assert message in str(talk.call(b"ill").error["errorMessage"])
    assert talk.call(b"well").body == b"well"


def test_a_request_of_an_http_trigger_arrives_as_it_was_and_its_answer_too(workshop: Workshop) -> None:
    source = _server(
        """
        def do_PUT(self):
            seen = [self.command, self.path, self.headers["x-one"], self.headers["x-fc-control-path"],
                    self.headers["host"], self.event().decode()]
            self.send_response(418)
            self.send_header("set-cookie", "a=1"); self.send_header("set-cookie", "b=2")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            body = json.dumps(seen).encode()
            self.wfile.write(b"%x\\r\\n%b\\r\\n0\\r\\n\\r\\n" % (len(body), body))
        """
    )
    event = {
        "version": "v1",
        "rawPath": "/a%20b/c",
        "headers": {"X-One": "1", "Host": "shop.example", "Content-Length": "999", "Connection": "close"},
        "queryParameters": {"q": "x y", "ü": "1"},
        "body": "payload",
        "isBase64Encoded": False,
        "requestContext": {"http": {"method": "PUT"}},
    }
    talk = _start(workshop, source).talk
    meta = json.dumps({"attempt": 1, "traceParent": "", "http": True}).encode()
    answer = talk.answer(talk.send(json.dumps(event).encode(), meta=meta))
    pieces = [frame.payload for frame in answer.frames if frame.type is not wire.Type.LOG]
    head = json.loads(pieces[0])
    assert (head["statusCode"], head["headers"]["set-cookie"]) == (418, ["a=1", "b=2"])
    assert "transfer-encoding" not in head["headers"]
    seen = ["PUT", "/a%20b/c?q=x%20y&%C3%BC=1", "1", "/http-invoke", "shop.example", "payload"]
    assert json.loads(b"".join(pieces[1:])) == seen


def test_a_cancelled_request_closes_its_connection_and_still_ends(workshop: Workshop) -> None:
    source = _server(
        """
        def do_POST(self):
            if self.event() == b"wait":
                print("waits", flush=True)
                print("gone" if self.connection.recv(1) == b"" else "more", flush=True)
            else:
                self.answer(b"next")
        """
    )
    talk = _start(workshop, source, concurrency=4).talk
    stream = talk.send(b"wait")
    assert talk.read().payload == b"waits\n"
    talk.cancel(stream)
    assert talk.answer(stream).error["errorType"] == "Cancelled"
    assert talk.call(b"").body == b"next"


# --- health and end ---------------------------------------------------------------------------------------------------

HEALTH = _server(
    """
    asked = 0
    well = True
    def do_GET(self):
        Handler.asked += 1
        self.answer(b"", 200 if Handler.well and Handler.asked > 2 else 503)
    def do_POST(self):
        event = self.event()
        if event == b"fall ill":
            Handler.well = False
            time.sleep(30)
        self.answer(str(Handler.asked).encode())
    """
)


def test_a_health_check_holds_requests_back_until_the_server_is_well(workshop: Workshop) -> None:
    health = HealthCheck(path="/health", success_threshold=2)
    talk = _start(workshop, HEALTH, program={"health": health}).talk
    assert int(talk.call(b"").body) >= 4, "two bad answers, then two good ones in a row"


def test_a_server_that_falls_ill_fails_what_it_runs_and_ends(workshop: Workshop) -> None:
    health = HealthCheck(path="/health", period_s=1, failure_threshold=1)
    running = _start(workshop, HEALTH, program={"health": health})
    answer = running.talk.call(b"fall ill")
    assert answer.error["errorType"] == "HealthCheckFailed"
    assert workshop.end_of(running).code == 1


def test_the_programs_end_is_the_instances_with_code_or_signal(workshop: Workshop) -> None:
    source = _server("def do_POST(self): os.kill(os.getpid(), int(self.event()))")
    for number in (signal.SIGSEGV, signal.SIGKILL):
        running = _start(workshop, source)
        running.talk.send(b"%d" % number)
        exit_ = workshop.end_of(running)
        assert (exit_.signal, exit_.killed) == (number, False)


def test_a_program_is_asked_to_end_and_not_waited_for_too_long(workshop: Workshop, tmp_path: Path) -> None:
    source = _server("def do_POST(self): self.answer()").replace(
        "ThreadingHTTPServer((", "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nThreadingHTTPServer(("
    )
    running = _start(workshop, source)
    running.talk.write(wire.frame(0, wire.Type.DRAIN, 0, 100, b"", b""))
    assert workshop.end_of(running).code == 0


# --- the runtime API --------------------------------------------------------------------------------------------------

API = """
import json, os, urllib.error, urllib.request
BASE = "http://" + os.environ["FC_RUNTIME_API"] + "/2020-11-11/runtime/invocation/"
def post(path, body):
    try:
        with urllib.request.urlopen(urllib.request.Request(BASE + path, data=body, method="POST")) as answer:
            return answer.status
    except urllib.error.HTTPError as refusal:
        return refusal.code
while True:
    with urllib.request.urlopen(BASE + "next") as asked:
        event, headers = asked.read(), asked.headers
    name = headers["x-fc-request-id"]
    if event == b"fail":
        post(name + "/error", b"plain words")
    elif event == b"twice":
        codes = [post(name + "/response", b"first"), post(name + "/response", b"second"), post("x/what", b"")]
        print(codes, flush=True)
    else:
        told = {key: headers[key] for key in ("x-fc-function-type", "x-fc-function-timeout", "x-fc-function-name")}
        post(name + "/response", json.dumps({**told, "deadline": int(headers["x-fc-function-deadline"])}).encode())
"""


def test_any_program_may_speak_the_runtime_api_instead(workshop: Workshop) -> None:
    running = _start(workshop, API, context={"functionName": "f", "timeout": "7"}, make=True)
    assert json.loads(running.hello().meta)["mode"] == "api"
    told = json.loads(running.talk.call(b"").body)
    assert told.pop("deadline") > 1_700_000_000_000
    assert told == {"x-fc-function-type": "0", "x-fc-function-timeout": "7", "x-fc-function-name": "f"}
    assert "plain words" in str(running.talk.call(b"fail").error["errorMessage"])


def test_an_answer_that_nobody_waits_for_is_refused(workshop: Workshop) -> None:
    talk = _start(workshop, API).talk
    assert talk.call(b"twice", request_id="1-a").body == b"first"
    assert b"[200, 404, 404]" in talk.call(b"", request_id="1-b").log + talk.early_log()


def test_credentials_come_as_headers_and_are_renewed(workshop: Workshop) -> None:
    source = _server(
        """
        def do_POST(self):
            names = ("x-fc-access-key-id", "x-fc-access-key-secret", "x-fc-security-token")
            self.answer(json.dumps([self.headers.get(name) for name in names]).encode())
        """
    )
    running = _start(workshop, source, context={"accessKeyId": "a", "accessKeySecret": "b", "securityToken": "old"})
    assert json.loads(running.talk.call(b"").body) == ["a", "b", "old"]
    told = json.dumps({"accessKeyId": "c", "accessKeySecret": "d", "securityToken": "new"}).encode()
    running.talk.write(wire.frame(0, wire.Type.CREDENTIALS, 0, 0, b"", told))
    assert json.loads(running.talk.call(b"").body) == ["c", "d", "new"]
