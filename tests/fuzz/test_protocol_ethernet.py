# SPDX-License-Identifier: Apache-2.0
"""Any frames: a datagram, a question, nothing, or the one declared error; an endpoint passes over what is broken."""

from __future__ import annotations

from ipaddress import IPv4Address

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.test_packet import OURS, US, Cable
from umslab_protocol.wire.ethernet import (
    ArpFrame,
    ArpKind,
    FrameError,
    UdpFrame,
    read_frame,
    write_arp,
    write_udp,
)
from umslab_runtime.packet import MAX_NEIGHBOURS, PacketEndpoint
from umslab_runtime.policy import TargetPolicy

macs = st.binary(min_size=6, max_size=6)
addresses = st.integers(0, 2**32 - 1).map(IPv4Address)
ports = st.sampled_from([67, 68]) | st.integers(0, 65_535)
datagrams = st.builds(
    UdpFrame,
    source_mac=macs,
    destination_mac=macs,
    source=addresses,
    source_port=ports,
    destination=addresses,
    destination_port=ports,
    payload=st.binary(max_size=200),
)
questions = st.builds(
    ArpFrame,
    kind=st.sampled_from(ArpKind),
    sender_mac=macs,
    sender=addresses,
    target_mac=macs,
    target=addresses | st.just(US),
)
heads = st.sampled_from(
    [b"\x08\x00\x45", b"\x08\x00\x46", b"\x08\x00\x4f", b"\x08\x06\x00\x01\x08\x00\x06\x04", b"\x81\x00"]
)
frames = (
    st.binary(max_size=120)
    | st.builds(
        lambda to, head, rest: to + head + rest, st.binary(min_size=12, max_size=12), heads, st.binary(max_size=80)
    )
    | datagrams.map(write_udp)
    | questions.map(write_arp)
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A frame with a few bytes changed somewhere."""
    frame = draw(frames)
    at = draw(st.integers(0, len(frame)))
    return frame[:at] + draw(st.binary(max_size=3)) + frame[at + draw(st.integers(0, 3)) :]


@settings(deadline=None, max_examples=300)
@given(datagrams, questions)
def test_frames_both_ways(datagram: UdpFrame, question: ArpFrame) -> None:
    """What we write we read."""
    assert datagram == read_frame(write_udp(datagram))
    assert question == read_frame(write_arp(question))


@settings(deadline=None, max_examples=500)
@given(frames | mutated(), st.booleans())
def test_any_frame(data: bytes, ready: bool) -> None:  # noqa: FBT001 - hypothesis draws it
    """Never more payload than bytes came; the reason is short."""
    frame, reason = None, ""
    try:
        frame = read_frame(data, checksum_ready=ready)
    except FrameError as error:
        reason = error.reason

    assert not isinstance(frame, UdpFrame) or len(frame.payload) <= len(data)
    assert len(reason) < 200


@settings(deadline=None, max_examples=60)
@given(st.lists(frames | mutated(), max_size=30))
def test_endpoint_survives(chosen: list[bytes]) -> None:
    """It reads on to the datagram that is good, answers for its own address only, and keeps little."""

    async def read() -> int:
        cable = Cable()
        endpoint = PacketEndpoint(cable, TargetPolicy(namespace=True))  # type: ignore[arg-type]
        endpoint.addresses[US] = OURS
        last = UdpFrame(
            source_mac=OURS, destination_mac=OURS, source=US, source_port=1, destination=US, destination_port=2,
            payload=b"the last one",
        )  # fmt: skip
        for frame in (*chosen, write_udp(last)):
            if frame:
                cable.far.send(frame)
        while (await endpoint.receive()).payload != last.payload:
            pass
        answers = 0
        try:
            while True:
                answer = read_frame(cable.far.recv(65_535))
                assert isinstance(answer, ArpFrame)
                assert (ArpKind.REPLY, US) == (answer.kind, answer.sender)
                answers += 1
        except BlockingIOError:
            assert len(endpoint._neighbours) <= min(MAX_NEIGHBOURS, len(chosen) + 1)
            endpoint.close()
        return answers

    assert trio.run(read) <= len(chosen)
