"""Packets by hand, where the kernel's sockets do not serve: answers to UDP from any address, and reports of refusals.

Pure. An answer comes from the address that the function has sent to, which is nobody's here: no ordinary socket may
have it, so it goes out whole through a raw one.
"""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

_UDP = 17
_PROTOCOLS = {6: "tcp", _UDP: "udp", 1: "icmp", 58: "icmp"}
_PAYLOAD = 9
_HEADER_BYTES = 20 + 8
MAX_BYTES = 65_507 - 40


class End(NamedTuple):
    """An address, packed, and a port."""

    address: bytes
    port: int


def datagram(sender: End, receiver: End, data: bytes) -> bytes:
    """A UDP packet with its IP header."""
    size = 8 + len(data)
    if len(sender.address) == 4:
        # No checksum: the older family may leave it out, and this never leaves the machine.
        udp = struct.pack(">HHHH", sender.port, receiver.port, size, 0) + data
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + size, 0, 0, 64, _UDP, 0)
        return head + sender.address + receiver.address + udp
    pseudo = sender.address + receiver.address + struct.pack(">IHBB", size, 0, 0, _UDP)
    bare = struct.pack(">HHHH", sender.port, receiver.port, size, 0) + data
    udp = bare[:6] + struct.pack(">H", _checksum(pseudo + bare) or 0xFFFF) + data
    return struct.pack(">IHBB", 6 << 28, size, _UDP, 64) + sender.address + receiver.address + udp


def _checksum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def unmapped(address: str) -> bytes:
    """A packed address; one of the older family in the younger's clothes is undressed."""
    if ":" not in address:
        return socket.inet_pton(socket.AF_INET, address)
    packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    return packed[12:] if packed.startswith(bytes(10) + b"\xff\xff") else packed


class Refused(NamedTuple):
    """A packet that the kernel refused."""

    protocol: str
    to: End
    """Port 0 where there is none."""


def reports(raw: bytes) -> list[Refused]:
    """What a datagram of the kernel's log says."""
    found, at = [], 0
    while at + 20 <= len(raw):
        size, _ = struct.unpack_from("=IH", raw, at)
        if size < 20:
            break
        packet = _attribute(raw[at + 20 : at + size], _PAYLOAD)
        refused = _refused(packet)
        if refused is not None:
            found.append(refused)
        at += size + 3 & ~3
    return found


def _attribute(raw: bytes, wanted: int) -> bytes:
    at = 0
    while at + 4 <= len(raw):
        size, kind = struct.unpack_from("=HH", raw, at)
        if size < 4:
            break
        if kind & 0x3FFF == wanted:
            return raw[at + 4 : at + size]
        at += size + 3 & ~3
    return b""


def _refused(packet: bytes) -> Refused | None:
    if len(packet) >= 24 and packet[0] >> 4 == 4:
        protocol, address, ports = packet[9], packet[16:20], (packet[0] & 15) * 4
    elif len(packet) >= 44 and packet[0] >> 4 == 6:
        protocol, address, ports = packet[6], packet[24:40], 40
    else:
        return None
    name = _PROTOCOLS.get(protocol, f"protocol {protocol}")
    port = int.from_bytes(packet[ports + 2 : ports + 4], "big") if name in ("tcp", "udp") else 0
    return Refused(name, End(address, port))
