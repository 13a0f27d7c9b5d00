"""What functions reach: nothing, what a VPC lists, or all; on a real node, as root and as an ordinary user."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2e.node_process import NodeProcess
from e2e.test_containment import BOXED, House, house, roots_node, users_node
from functory.sdk import ApiError, Client
from functory.testing.checks.sandbox import descendants

__all__ = ["house", "roots_node", "users_node"]
pytestmark = pytest.mark.server

REACH = """
import errno, json, socket, time
def attempt(one):
    kind, host, port = one
    begun = time.monotonic()
    try:
        if kind == "udp":
            made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
            made.settimeout(3)
            made.connect((host, port))
            made.send(b"ping")
            said = made.recv(100).decode()
        elif kind == "name":
            said = socket.gethostbyname(host)
        else:
            with socket.create_connection((host, port), timeout=3) as made:
                made.sendall(b"ping")
                said = made.recv(100).decode() or "closed"
    except OSError as failure:
        said = errno.errorcode.get(failure.errno, type(failure).__name__)
    return said, time.monotonic() - begun
def handler(event, context):
    return [attempt(one) for one in json.loads(event)]
"""


class Echo:
    """Answers on TCP and UDP of one loopback port: the bytes it got, with a word before them."""

    def __init__(self) -> None:
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.port = self.tcp.getsockname()[1]
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        self.connections = 0
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._serve, self._answer)]
        for thread in self._threads:
            thread.start()

    def _serve(self) -> None:
        while True:
            try:
                made, _ = self.tcp.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(made,), daemon=True).start()

    def _talk(self, made: socket.socket) -> None:
        with made, contextlib.suppress(OSError):
            made.sendall(b"tcp " + made.recv(1 << 16))

    def _answer(self) -> None:
        while True:
            try:
                data, sender = self.udp.recvfrom(1 << 16)
                self.udp.sendto(b"udp " + data, sender)
            except OSError:
                return

    def close(self) -> None:
        for one in (self.tcp, self.udp):
            with one:
                one.shutdown(socket.SHUT_RDWR) if one is self.tcp else one.sendto(b"", one.getsockname())
        for thread in self._threads:
            thread.join(5)


@contextmanager
def echo() -> Iterator[Echo]:
    made = Echo()
    try:
        yield made
    finally:
        made.close()


@contextmanager
def vpc(house: House, vpc_id: str, **fields: object) -> Iterator[str]:
    house.client.vpcs.create(vpc_id, fields)
    try:
        yield vpc_id
    finally:
        for function in house.client.functions.list():
            if function.function_name.startswith("contained-"):
                house.client.functions.delete(function.function_name)
        house.client.vpcs.delete(vpc_id)


def reach(house: House, *what: tuple[str, str, int], **fields: object) -> list[tuple[str, float]]:
    return [tuple(one) for one in house.call(REACH, json.dumps(what).encode(), **fields)]


def test_an_allow_list_lets_through_what_it_names_and_nothing_else(house: House) -> None:
    with echo() as server, echo() as other:
        allowed = {
            "names": ["db.internal"],
            "cidrs": ["127.0.0.1/32"],
            "ports": [str(server.port)],
            "protocols": ["tcp", "udp"],
            "hosts": {"db.internal": "127.0.0.1", "elsewhere.internal": "127.0.0.1"},
        }
        with vpc(house, "vpc-db", **allowed) as vpc_id:
            found = reach(
                house,
                ("tcp", "db.internal", server.port),
                ("udp", "db.internal", server.port),
                ("tcp", "db.internal", other.port),
                ("tcp", "elsewhere.internal", server.port),
                ("tcp", "10.1.2.3", server.port),
                ("tcp", "169.254.169.254", 80),
                ("udp", "10.1.2.3", server.port),
                internetAccess=False,
                vpcConfig={"vpcId": vpc_id},
            )
        assert [said for said, _ in found[:2]] == ["tcp ping", "udp ping"]
        assert [said for said, _ in found[2:]] == [
            "ECONNREFUSED", "gaierror", "ECONNREFUSED", "ECONNREFUSED", "ECONNREFUSED"
        ]  # fmt: skip
        assert all(seconds < 1 for _, seconds in found[2:])
        assert other.connections == 0


def test_what_came_and_went_is_in_the_record_and_denials_are_in_the_log(house: House) -> None:
    with echo() as server:
        fields = {"names": ["db.internal"], "cidrs": ["127.0.0.1/32"], "hosts": {"db.internal": "127.0.0.1"}}
        with vpc(house, "vpc-count", **fields) as vpc_id:
            name = house.deploy(REACH, internetAccess=False, vpcConfig={"vpcId": vpc_id})
            what = [("tcp", "db.internal", server.port), ("tcp", "10.1.2.3", 22), ("tcp", "10.1.2.3", 22)]
            answer = house.client.invoke(name, json.dumps(what))
            record = house.client.requests.get(answer.request_id, wait_s=5)
            assert (record.network_in_bytes, record.network_out_bytes) == (len("tcp ping"), len("ping"))
            line = "network: denied: 10.1.2.3:22/tcp is not allowed by VPC vpc-count"
            text = wait_for(house, answer.request_id, line)
            assert text.count(line) == 1, "once for each destination"
            quiet = house.client.invoke(name, b"[]")
            record = house.client.requests.get(quiet.request_id, wait_s=5)
            assert (record.network_in_bytes, record.network_out_bytes) == (0, 0)
            counts = house.client.node().network
            assert counts.denied >= 2
            assert counts.bytes_in >= len("tcp ping")


def wait_for(house: House, request_id: str, line: str) -> str:
    """The log of a request once the line is in it: a refusal may be heard of after the answer."""
    house.client.requests.get(request_id, wait_s=5)
    deadline = time.monotonic() + 5
    while True:
        text = house.client.requests.logs(request_id).text
        if line in text:
            return text
        assert time.monotonic() < deadline, text


def test_a_name_cannot_lead_to_an_address_that_no_network_has(house: House) -> None:
    with echo() as server:
        with vpc(house, "vpc-rebind", names=["*"], hosts={"evil.example": "127.0.0.1"}) as vpc_id:
            name = house.deploy(REACH, internetAccess=False, vpcConfig={"vpcId": vpc_id})
            what = [("tcp", "evil.example", server.port), ("tcp", "localhost.", server.port)]
            answer = house.client.invoke(name, json.dumps(what))
            assert json.loads(answer.payload)[0][0] in ("ECONNRESET", "closed")
            wait_for(house, answer.request_id, "evil.example")
        assert server.connections == 0


def test_many_connections_at_once_go_through_and_more_than_the_limit_are_reset(house: House) -> None:
    source = """
import json, socket
def handler(event, context):
    port, opened, answered = json.loads(event), [], 0
    for _ in range(300):
        try:
            opened.append(socket.create_connection(("db.internal", port), timeout=5))
        except ConnectionResetError:
            pass
    for made in opened:
        try:
            made.sendall(b"ping")
            answered += made.recv(100) == b"tcp ping"
        except OSError:
            pass
    return answered
"""
    with echo() as server:
        fields = {"names": ["db.internal"], "cidrs": ["127.0.0.1/32"], "hosts": {"db.internal": "127.0.0.1"}}
        with vpc(house, "vpc-many", **fields) as vpc_id:
            answered = house.call(
                source, json.dumps(server.port).encode(), internetAccess=False, vpcConfig={"vpcId": vpc_id}
            )
    assert 200 <= answered <= 256


def test_a_large_transfer_arrives_whole_at_the_pace_of_the_slower(house: House) -> None:
    source = """
import hashlib, json, socket
def handler(event, context):
    with socket.create_connection(("db.internal", json.loads(event)), timeout=20) as made:
        made.shutdown(socket.SHUT_WR)
        seen, size = hashlib.sha256(), 0
        while data := made.recv(1 << 16):
            seen.update(data)
            size += len(data)
    return {"size": size, "sha256": seen.hexdigest()}
"""
    block = bytes(range(256)) * 4096
    with socket.create_server(("127.0.0.1", 0)) as server:
        sending = threading.Thread(target=_send_all, args=(server, block * 32), daemon=True)
        sending.start()
        port = server.getsockname()[1]
        fields = {"names": ["db.internal"], "cidrs": ["127.0.0.1/32"], "hosts": {"db.internal": "127.0.0.1"}}
        with vpc(house, "vpc-large", **fields) as vpc_id:
            found = house.call(source, b"%d" % port, internetAccess=False, vpcConfig={"vpcId": vpc_id})
        sending.join(5)
    assert found == {"size": 32 * len(block), "sha256": hashlib.sha256(block * 32).hexdigest()}


def _send_all(server: socket.socket, data: bytes) -> None:
    made, _ = server.accept()
    with made:
        made.recv(1)  # the function has nothing to say: its end arrives as one
        made.sendall(data)


def test_the_death_of_the_relay_breaks_connections_and_nothing_else(house: House) -> None:
    with echo() as server:
        fields = {"names": ["db.internal"], "cidrs": ["127.0.0.1/32"], "hosts": {"db.internal": "127.0.0.1"}}
        with vpc(house, "vpc-death", **fields) as vpc_id:
            name = house.deploy(REACH, internetAccess=False, vpcConfig={"vpcId": vpc_id})
            what = json.dumps([("tcp", "db.internal", server.port)])
            first = house.client.invoke(name, what)
            for pid in relays(house):
                os.kill(pid, signal.SIGKILL)
            deadline = time.monotonic() + 5
            while True:
                second = house.client.invoke(name, what)
                if json.loads(second.payload)[0][0] == "tcp ping":
                    break
                assert time.monotonic() < deadline
            assert first.instance_id == second.instance_id


def relays(house: House) -> list[int]:
    """The relay processes of the node."""
    found = []
    for pid in descendants(house.node.process.pid):
        with contextlib.suppress(OSError):
            if b"functory.network" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def test_a_changed_definition_holds_for_calls_after_it(house: House) -> None:
    with echo() as server:
        known = {"names": ["db.internal"], "hosts": {"db.internal": "127.0.0.1"}}
        with vpc(house, "vpc-change", **known, cidrs=["127.0.0.1/32"]) as vpc_id:
            name = house.deploy(REACH, internetAccess=False, vpcConfig={"vpcId": vpc_id})
            what = json.dumps([("tcp", "db.internal", server.port)])
            assert json.loads(house.client.invoke(name, what).payload)[0][0] == "tcp ping"
            house.client.vpcs.replace(vpc_id, {"names": ["other.internal"]})
            assert json.loads(house.client.invoke(name, what).payload)[0][0] == "gaierror"


def test_a_vpc_that_is_not_there_is_refused_and_one_in_use_stays(house: House) -> None:
    with pytest.raises(ApiError, match="VPC 'vpc-none' does not exist") as refused:
        house.deploy(REACH, vpcConfig={"vpcId": "vpc-none"})
    assert (refused.value.status, refused.value.code) == (400, "InvalidArgument")
    with vpc(house, "vpc-used", names=["a.example"]) as vpc_id:
        house.deploy(REACH, vpcConfig={"vpcId": vpc_id})
        with pytest.raises(ApiError) as refused:
            house.client.vpcs.delete(vpc_id)
        assert refused.value.code == "VpcInUse"


def test_with_internet_access_a_vpc_adds_public_addresses_but_not_the_nodes_network(house: House) -> None:
    with echo() as server, vpc(house, "vpc-both", names=["db.internal"]) as vpc_id:
        found = reach(house, ("tcp", "10.1.2.3", server.port), vpcConfig={"vpcId": vpc_id}, internetAccess=True)
        assert found[0][0] == "ECONNREFUSED"
        status, message = house.fail(
            "import socket\ndef handler(e, c): socket.create_connection(('127.0.0.1', int(e)))",
            b"%d" % server.port, vpcConfig={"vpcId": vpc_id},
        )  # fmt: skip
        assert (status, "refused" in message) == ("function_error", True), "the node's loopback is not its own"


def test_bound_functions_answer_callers_in_their_vpcs_only(house: House) -> None:
    name = house.deploy("def handler(e, c): return e")
    client = house.client
    with vpc(house, "vpc-far", cidrs=["10.0.0.0/8"]) as far, vpc(house, "vpc-near", cidrs=["127.0.0.0/8"]) as near:
        bindings = f"/2023-03-30/functions/{name}/vpc-bindings"
        bind(house, bindings, far)
        with pytest.raises(ApiError, match="bound by VPC: vpc-far") as refused:
            client.invoke(name, b"x")
        assert (refused.value.status, refused.value.code) == (403, "AccessDenied")
        with pytest.raises(ApiError, match="bound to VPC"):
            client.vpcs.delete(far)
        bind(house, bindings, near)
        assert client.invoke(name, b"x").payload == b"x"


def bind(house: House, path: str, vpc_id: str) -> None:
    house.client._transport.call(
        "CreateVpcBinding", "POST", path, headers={"content-type": "application/json"},
        body=json.dumps({"vpcId": vpc_id}).encode(),
    )  # fmt: skip


def test_without_namespaces_a_function_that_asks_for_less_does_not_start(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path, "--isolation", "process")
    node.start()
    with Client(node.credentials) as client:
        house = House(node, client)
        client.vpcs.create("vpc-plain", {"names": ["a.example"]})
        for fields in ({"internetAccess": False}, {"vpcConfig": {"vpcId": "vpc-plain"}}):
            name = house.deploy("def handler(e, c): return e", **fields)
            with pytest.raises(ApiError, match="needs network namespaces"):
                client.invoke(name, b"x")
    assert node.stop() == 0


def test_the_setting_public_keeps_all_functions_off_the_nodes_network(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path, "--internet", "public")
    node.start()
    with Client(node.credentials) as client, echo() as server:
        house = House(node, client)
        if house.tier not in BOXED:
            pytest.skip(f"cannot be shown here: tier {house.tier}")
        found = reach(house, ("tcp", "127.0.0.1", server.port), ("tcp", "10.1.2.3", server.port))
        assert [said for said, _ in found] == ["ECONNREFUSED", "ECONNREFUSED"]
        assert server.connections == 0
    assert node.stop() == 0
