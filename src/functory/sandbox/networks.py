"""Networks of instances: namespaces that are made ahead of need, by a helper in the box that does nothing else.

    maker of boxes ──kind, rules──→ helper ──namespace, sockets──→ maker of boxes ──namespace──→ stem, which enters it
                                                                                └──sockets───→ whoever relays

`none` is a loopback of its own. In `allow` every address is local too, so whatever is sent arrives at rules that give
it to a transparent socket, or refuse it at once and report that. Which destinations are given to the socket is the
policy's: its rules are put in force by the stem (`enter`), or by the helper for a policy that has been used before.

Sockets belong to the namespace that they are made in, wherever they go: the relay needs no right in it. Whoever leaves
the host's network cannot come back, as it belongs to another user: that is why there is a helper, who never does.
Loaded by path in zygotes: the standard library only.
"""

from __future__ import annotations

import _socket
import binascii
import os
import struct

from . import netlink, syscalls

RELAY_PORT = 1
"""Where transparent sockets listen: below all ports that a function can have."""
NAMES_PORT = 53
REPORTS = 1
REPORTS_PER_S = 50
TABLE, ALLOWED, DESTINATIONS = "functory", "allowed", "destinations"
"""The packet rules that a policy adds to (`network.kernel`)."""
OWN_V4, OWN_V6 = "198.18.0.1", "fdf0:c0de::1"
"""The instance's own addresses: without any but loopback ones, libraries think that there is no network."""
SOCKETS = 6
"""Of `allow`: TCP, names, reports, UDP, and raw ones for answers to UDP of both families."""
MESSAGE_BYTES = 1 << 18
_BACKLOG = 128
_IPV6_V6ONLY, _IP_TRANSPARENT, _IPV6_TRANSPARENT, _IP_ORIGINAL, _IPV6_ORIGINAL = 26, 19, 75, 20, 74
_IP_PKTINFO, _IPV6_RECVPKTINFO = 8, 49
_RAW = 255
_INCOMING, _BEFORE_ROUTING = 0, -150
_TCP, _UDP = 6, 17
_BUFFER_BYTES = 1 << 18


def serve(control: _socket.socket) -> None:
    """The helper's life: a network for each message, until the other end is closed."""
    while True:
        wanted = control.recv(MESSAGE_BYTES)
        if not wanted:
            return
        fds: list[int] = []
        try:
            kind, _, rules = wanted.decode().partition(" ")
            fds = _make(kind)
            _put_in_force(rules)
            rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack(f"{len(fds)}i", *fds))]
            control.sendmsg([b"!"], rights)
        except OSError as failure:
            control.sendall(str(failure).encode() or b"?")
        finally:
            for fd in fds:
                os.close(fd)


def enter(fd: int, rules: str) -> None:
    """This process lives in the network `fd` from here on, under `rules` (base64)."""
    syscalls.setns(fd, syscalls.NEWNET)
    _put_in_force(rules)


def _put_in_force(rules: str) -> None:
    if rules:
        netlink.send(netlink.NETLINK_NETFILTER, binascii.a2b_base64(rules), 1).close()


def _make(kind: str) -> list[int]:
    """A new namespace, in which this process is from now on, and its sockets."""
    syscalls.unshare(syscalls.NEWNET)
    netlink.send(netlink.NETLINK_ROUTE, netlink.loopback_up(), 1).close()
    sockets = _prepare_relay() if kind == "allow" else []
    return [os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC), *[one.detach() for one in sockets]]


def _prepare_relay() -> list[_socket.socket]:
    own_v4 = _socket.inet_pton(_socket.AF_INET, OWN_V4)
    own_v6 = _socket.inet_pton(_socket.AF_INET6, OWN_V6)
    has_v6 = os.path.exists("/proc/net/if_inet6")
    routes = netlink.address(_socket.AF_INET, own_v4) + netlink.all_is_local(_socket.AF_INET, own_v4)
    if has_v6:
        routes += netlink.address(_socket.AF_INET6, own_v6) + netlink.all_is_local(_socket.AF_INET6, own_v6)
    netlink.send(netlink.NETLINK_ROUTE, routes, 4 if has_v6 else 2).close()
    netlink.send(netlink.NETLINK_NETFILTER, netlink.batch(_rules(own_v4, own_v6)), 1).close()
    reports = netlink.send(netlink.NETLINK_NETFILTER, netlink.listen_to_reports(REPORTS), 2)
    family = _socket.AF_INET6 if has_v6 else _socket.AF_INET
    relayed, names, datagrams = _stream(family), _names(family), _datagrams(family)
    answers = [_socket.socket(one, _socket.SOCK_RAW, _RAW) for one in (_socket.AF_INET, family)]
    return [relayed, names, reports, datagrams, *answers]


def _rules(own_v4: bytes, own_v6: bytes) -> list[bytes]:
    """The same for all: what is its own goes through, names are asked for, the rest is allowed, or refused."""
    own = ((own_v4, 32), (bytes([127, 0, 0, 0]), 8), (own_v6, 128), (bytes(15) + b"\1", 128))
    arriving = "arriving"
    return [
        netlink.table(TABLE),
        netlink.chain(TABLE, ALLOWED),
        netlink.chain(TABLE, arriving, hook=_INCOMING, priority=_BEFORE_ROUTING),
        *(netlink.rule(TABLE, arriving, netlink.destination_in(*one), netlink.accept()) for one in own),
        netlink.rule(
            TABLE, arriving, netlink.protocol_is(_UDP), netlink.port_in(NAMES_PORT, NAMES_PORT), netlink.accept()
        ),
        netlink.rule(TABLE, arriving, netlink.jump(ALLOWED)),
        netlink.rule(TABLE, arriving, netlink.report(REPORTS, REPORTS_PER_S)),
        netlink.rule(TABLE, arriving, netlink.protocol_is(_TCP), netlink.refuse(reset=True)),
        netlink.rule(TABLE, arriving, netlink.refuse(reset=False)),
    ]


def _stream(family: int) -> _socket.socket:
    made = _socket.socket(family, _socket.SOCK_STREAM)
    made.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    _serve_any(made, family, RELAY_PORT)
    made.listen(_BACKLOG)
    return made


def _datagrams(family: int) -> _socket.socket:
    made = _socket.socket(family, _socket.SOCK_DGRAM)
    made.setsockopt(_socket.IPPROTO_IP, _IP_ORIGINAL, 1)
    if family == _socket.AF_INET6:
        made.setsockopt(_socket.IPPROTO_IPV6, _IPV6_ORIGINAL, 1)
    _serve_any(made, family, RELAY_PORT)
    return made


def _names(family: int) -> _socket.socket:
    made = _socket.socket(family, _socket.SOCK_DGRAM)
    made.setsockopt(_socket.IPPROTO_IP, _IP_PKTINFO, 1)
    if family == _socket.AF_INET6:
        made.setsockopt(_socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
    _serve_any(made, family, NAMES_PORT)
    return made


def _serve_any(made: _socket.socket, family: int, port: int) -> None:
    """Binds to all addresses of both families, also to those that are nobody's."""
    made.setsockopt(_socket.IPPROTO_IP, _IP_TRANSPARENT, 1)
    if family == _socket.AF_INET6:
        made.setsockopt(_socket.IPPROTO_IPV6, _IPV6_V6ONLY, 0)
        made.setsockopt(_socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, 1)
    made.bind(("::" if family == _socket.AF_INET6 else "0.0.0.0", port))
