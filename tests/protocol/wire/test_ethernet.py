# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.wire.ethernet."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umslab_protocol.errors import LocalProtocolError
from umslab_protocol.wire.ethernet import (
    ARP,
    EVERYBODY_MAC,
    IPV4,
    ArpFrame,
    ArpKind,
    FrameError,
    FrameProblem,
    UdpFrame,
    checksum,
    read_frame,
    write_arp,
    write_udp,
)

MACS = st.binary(min_size=6, max_size=6)
ADDRESSES = st.integers(0, 2**32 - 1).map(IPv4Address)
PORTS = st.integers(0, 65_535)
FRAMES = st.builds(
    UdpFrame,
    source_mac=MACS,
    destination_mac=MACS,
    source=ADDRESSES,
    source_port=PORTS,
    destination=ADDRESSES,
    destination_port=PORTS,
    payload=st.binary(max_size=1500),
)
ARPS = st.builds(
    ArpFrame,
    kind=st.sampled_from(ArpKind),
    sender_mac=MACS,
    sender=ADDRESSES,
    target_mac=MACS,
    target=ADDRESSES,
)
FRAME = UdpFrame(
    source_mac=bytes.fromhex("020000000001"),
    destination_mac=EVERYBODY_MAC,
    source=IPv4Address(0),
    source_port=68,
    destination=IPv4Address("255.255.255.255"),
    destination_port=67,
    payload=b"hello",
)
IP_AT, UDP_AT = 14, 34


@given(FRAMES)
def test_datagrams_come_back(frame: UdpFrame) -> None:
    """Reading undoes writing, padding included."""
    assert frame == read_frame(write_udp(frame))


@given(ARPS)
def test_arp_comes_back(arp: ArpFrame) -> None:
    """The same for questions and answers."""
    assert arp == read_frame(write_arp(arp))


@given(st.binary(max_size=200), st.sampled_from([b"", IPV4.to_bytes(2), ARP.to_bytes(2)]), st.booleans())
def test_any_bytes(data: bytes, kind: bytes, ready: object) -> None:
    """Nothing but `FrameError` is raised, whatever comes."""
    with contextlib.suppress(FrameError):
        read_frame(data[:12].ljust(12, b"\1") + kind + data[12:] if kind else data, checksum_ready=bool(ready))


@given(FRAMES, st.data())
def test_one_flipped_bit_is_seen(frame: UdpFrame, data: st.DataObject) -> None:
    """The checksums notice it, or it is in a place they do not cover: then the datagram itself is the same."""
    frame = replace(frame, payload=frame.payload or b"x")
    written = bytearray(write_udp(frame))
    length = UDP_AT + 8 + len(frame.payload)
    bit = data.draw(st.integers(IP_AT * 8, length * 8 - 1))
    written[bit // 8] ^= 1 << bit % 8
    if not any(written[UDP_AT + 6 : UDP_AT + 8]):
        return  # the flip has made it "no checksum"

    with pytest.raises(FrameError):
        read_frame(bytes(written))


def test_checksums_of_the_standard() -> None:
    """The example of RFC 1071 section 3, and an odd number of bytes."""
    assert 0xFFFF ^ 0xDDF2 == checksum(bytes.fromhex("0001f203f4f5f6f7"))
    assert checksum(b"\1\2\3\0") == checksum(b"\1\2\3")


def _with(at: int, value: bytes, *, mend: bool = True) -> bytes:
    """The frame with other bytes somewhere, and the checksum of its IP header mended."""
    data = bytearray(write_udp(FRAME))
    data[at : at + len(value)] = value
    if mend:
        data[IP_AT + 10 : IP_AT + 12] = b"\0\0"
        data[IP_AT + 10 : IP_AT + 12] = checksum(bytes(data[IP_AT : IP_AT + 20])).to_bytes(2)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\0" * 13, FrameProblem.FRAME_CUT),
        (write_udp(FRAME)[: IP_AT + 19], FrameProblem.FRAME_CUT),
        (write_udp(FRAME)[: UDP_AT + 10], FrameProblem.FRAME_CUT),
        (_with(IP_AT + 2, b"\0\x18"), FrameProblem.FRAME_CUT),
        (_with(IP_AT, b"\x65"), FrameProblem.BAD_IP_HEADER),
        (_with(IP_AT, b"\x44"), FrameProblem.BAD_IP_HEADER),
        (_with(IP_AT + 2, b"\0\x13"), FrameProblem.BAD_IP_HEADER),
        (_with(IP_AT + 8, b"\1", mend=False), FrameProblem.BAD_IP_CHECKSUM),
        (_with(IP_AT + 6, b"\x20\0"), FrameProblem.FRAGMENT),
        (_with(IP_AT + 6, b"\0\1"), FrameProblem.FRAGMENT),
        (_with(UDP_AT + 4, b"\0\7"), FrameProblem.BAD_UDP_LENGTH),
        (_with(UDP_AT + 4, b"\1\0"), FrameProblem.BAD_UDP_LENGTH),
        (_with(UDP_AT + 8, b"j"), FrameProblem.BAD_UDP_CHECKSUM),
        (b"\0" * 12 + ARP.to_bytes(2) + b"\0" * 27, FrameProblem.FRAME_CUT),
    ],
)
def test_broken_frames(data: bytes, problem: FrameProblem) -> None:
    """Each has its reason."""
    with pytest.raises(FrameError) as error:
        read_frame(data)
    assert problem is error.value.problem


def test_checksum_may_be_missing() -> None:
    """Where the sender says that there is none, and where the card was to fill it in."""
    assert FRAME == read_frame(_with(UDP_AT + 6, b"\0\0"))
    assert FRAME == read_frame(_with(UDP_AT + 6, b"\1\1"), checksum_ready=False)


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 12 + b"\x86\xdd" + b"\0" * 46,
        _with(IP_AT + 9, b"\6"),
        write_arp(ArpFrame(kind=ArpKind.REPLY, sender_mac=b"\2" * 6, sender=IPv4Address(1), target_mac=b"\4" * 6,
                           target=IPv4Address(2)))[:20] + b"\0\x09" + b"\0" * 38,
    ],
    ids=["ipv6", "tcp", "reverse arp"],
)  # fmt: skip
def test_something_else(data: bytes) -> None:
    """Other protocols are none of our business."""
    assert read_frame(data) is None


def test_what_has_no_form() -> None:
    """Ports, addresses and payloads that do not fit are our own mistake."""
    for wrong in (
        replace(FRAME, source_port=70_000),
        replace(FRAME, source_mac=b"\2"),
        replace(FRAME, payload=b"x" * 65_508),
    ):
        with pytest.raises(LocalProtocolError):
            write_udp(wrong)
