"""What functions reach: nothing, what a VPC lists, or all; on a real node, as root and as an ordinary user."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from e2e.test_containment import House, house, roots_node, users_node

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
            with made:
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
