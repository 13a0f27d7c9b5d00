"""Packets made by hand are those that the kernel takes, and its reports are read whatever they hold."""

from __future__ import annotations

import socket
import struct

from hypothesis import given
from hypothesis import strategies as st

from functory.network import packets
from functory.network.packets import End

V4 = (End(bytes([10, 0, 0, 1]), 53), End(bytes([198, 18, 0, 1]), 4000))
V6 = (
    End(socket.inet_pton(socket.AF_INET6, "2001:db8::1"), 53),
    End(socket.inet_pton(socket.AF_INET6, "fd00::1"), 4000),
)


def test_a_datagram_has_the_ends_and_the_length_of_its_data() -> None:
    packet = packets.datagram(*V4, b"hello")
    assert (packet[12:16], packet[16:20], packet[9]) == (V4[0].address, V4[1].address, 17)
    assert struct.unpack_from(">HHH", packet, 20) == (53, 4000, 13)
    assert packet.endswith(b"hello")


def test_the_checksum_of_the_younger_family_is_right_for_odd_and_even_lengths() -> None:
    for data in (b"", b"a", b"ab", bytes(range(255))):
        packet = packets.datagram(*V6, data)
        udp = packet[40:]
        whole = V6[0].address + V6[1].address + struct.pack(">IHBB", len(udp), 0, 0, 17) + udp
        total = sum(struct.unpack(f">{(len(whole) + 1) // 2}H", whole + bytes(len(whole) % 2)))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        assert total == 0xFFFF


def _report(packet: bytes) -> bytes:
    attribute = struct.pack("=HH", 4 + len(packet), 9) + packet + bytes(-len(packet) % 4)
    return struct.pack("=IHHII", 20 + len(attribute), 0x400, 0, 0, 0) + bytes(4) + attribute


def test_a_report_names_protocol_address_and_port() -> None:
    found = packets.reports(_report(packets.datagram(*V4, b"x")) + _report(packets.datagram(*V6, b"x")))
    assert [(one.protocol, one.to) for one in found] == [("udp", V4[1]), ("udp", V6[1])]


@given(st.binary(max_size=200))
def test_no_report_breaks_the_reader(raw: bytes) -> None:
    packets.reports(raw)
    packets.reports(_report(raw))


def test_mapped_addresses_are_undressed() -> None:
    assert packets.unmapped("::ffff:10.0.0.1") == packets.unmapped("10.0.0.1") == bytes([10, 0, 0, 1])
    assert len(packets.unmapped("2001:db8::1")) == 16
