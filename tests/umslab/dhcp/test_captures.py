# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab.dhcp.captures."""

from __future__ import annotations

import struct

import pytest

from tests.umslab.dhcp.pcap import block, enhanced, ethernet, ip, pcap, section
from umslab.dhcp import captures
from umslab.dhcp.captures import CaptureError, Skipped, is_capture, read_capture

FRAME = ethernet(ip(b"dhcp"))


def _payloads(data: bytes) -> list[bytes]:
    return [one.payload for one in read_capture(data).datagrams]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nanoseconds", [False, True])
def test_pcap(order: str, *, nanoseconds: bool) -> None:
    """Both byte orders, both resolutions; packets are numbered as Wireshark does."""
    capture = read_capture(pcap(ethernet(b"", kind=0x0806), FRAME, order=order, nanoseconds=nanoseconds))

    assert [(2, b"dhcp")] == [(one.number, one.payload) for one in capture.datagrams]
    assert (2, "", {}) == (capture.packets, capture.damage, capture.skipped)


@pytest.mark.parametrize(
    ("link", "packet"),
    [
        (1, FRAME),
        (1, ethernet(ip(b"dhcp"), vlans=1)),
        (1, ethernet(ip(b"dhcp"), vlans=2)),
        (113, bytes(14) + b"\x08\x00" + ip(b"dhcp")),
        (276, b"\x08\x00" + bytes(18) + ip(b"dhcp")),
        (276, b"\x81\x00" + bytes(18) + b"\x00\x05\x08\x00" + ip(b"dhcp")),
        (113, bytes(14) + b"\x81\x00\x00\x05\x08\x00" + ip(b"dhcp")),
        (101, ip(b"dhcp")),
        (228, ip(b"dhcp")),
        (0, b"\x02\0\0\0" + ip(b"dhcp")),
    ],
)
def test_links(link: int, packet: bytes) -> None:
    """Ethernet with and without VLANs, Linux "any" old and new, raw IP, BSD loopback."""
    assert [b"dhcp"] == _payloads(pcap(packet, link=link))


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng(order: str) -> None:
    """Sections, interfaces, and all three kinds of packet blocks; unknown blocks are passed over."""
    simple = block(3, struct.pack(order + "I", len(FRAME)) + FRAME, order)
    old = block(2, struct.pack(order + "HHIIII", 1, 0, 0, 0, len(FRAME), len(FRAME)) + FRAME, order)
    raw = enhanced(ip(b"raw"), order, interface=2)
    data = section(order, 1, 1, 101) + block(5, b"statistics", order) + enhanced(FRAME, order) + simple + old + raw

    assert [b"dhcp", b"dhcp", b"dhcp", b"raw"] == _payloads(data)
    assert [b"dhcp", b"dhcp"] == _payloads(section("<", 1) + enhanced(FRAME) + section(">", 1) + enhanced(FRAME, ">"))


@pytest.mark.parametrize(
    "packet",
    [
        ethernet(ip(b"dns", ports=(53, 4000))),
        ethernet(ip(b"tcp", protocol=6)),
        ethernet(b"\x60" + bytes(60), kind=0x86DD),
        ethernet(b"\x65" + bytes(60)),
        ethernet(b"\x41" + ip(b"x")[1:]),
        ethernet(ip(b"dhcp"), vlans=5),
        b"",
    ],
)
def test_what_is_not_dhcp(packet: bytes) -> None:
    """Passed over without a word."""
    capture = read_capture(pcap(packet))

    assert ([], {}) == (capture.datagrams, capture.skipped)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (pcap(ethernet(ip(b"dhcp", fragment=0x2000))), Skipped.FRAGMENT),
        (pcap(ethernet(ip(b"dhcp", fragment=0x0010))), Skipped.FRAGMENT),
        (pcap(FRAME[:-1]), Skipped.CUT),
        (pcap(FRAME, link=147), Skipped.LINK_TYPE),
        (section("<") + enhanced(FRAME), Skipped.LINK_TYPE),
    ],
)
def test_what_is_skipped_is_counted(data: bytes, why: Skipped) -> None:
    """By reason."""
    capture = read_capture(data)

    assert ([], {why: 1}) == (capture.datagrams, capture.skipped)


def test_padding_after_udp_is_no_payload() -> None:
    """Short frames are padded on the wire."""
    assert [b"dhcp"] == _payloads(pcap(FRAME + bytes(20)))


@pytest.mark.parametrize(
    "data",
    [
        pcap(FRAME) + bytes(5),
        pcap(FRAME) + struct.pack("<IIII", 0, 0, 50, 50) + bytes(49),
        pcap(FRAME) + struct.pack("<IIII", 0, 0, 1 << 31, 1 << 31),
        section("<", 1) + enhanced(FRAME) + b"\x06\0\0\0",
        section("<", 1) + enhanced(FRAME) + struct.pack("<II", 6, 11) + bytes(20),
        section("<", 1) + enhanced(FRAME) + struct.pack("<II", 6, 1 << 30) + bytes(20),
        section("<", 1) + enhanced(FRAME) + b"\x0a\x0d\x0d\x0a" + bytes(20),
    ],
)
def test_damage_keeps_what_stands_before(data: bytes) -> None:
    """A capture that was cut is still worth reading."""
    capture = read_capture(data)

    assert [b"dhcp"] == [one.payload for one in capture.datagrams]
    assert "ends within" in capture.damage


def test_a_header_that_is_cut() -> None:
    """Nothing there, and said so."""
    assert read_capture(pcap()[:20]).damage


def test_no_capture() -> None:
    """Anything else is refused."""
    assert not is_capture(b"PK\x03\x04")
    with pytest.raises(CaptureError):
        read_capture(b"lease {")


def test_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not more messages than anybody reads."""
    monkeypatch.setattr(captures, "MAX_DATAGRAMS", 3)
    capture = read_capture(pcap(*[FRAME] * 10))

    assert 3 == len(capture.datagrams)
    assert "first 3" in capture.damage
