# SPDX-License-Identifier: Apache-2.0
"""Any frames, broken ones too: an endpoint passes over them, and says something only for its own address."""

from __future__ import annotations

from dataclasses import replace

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol.wire.test_ethernet import ARPS, FRAMES
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

QUESTIONS = ARPS | ARPS.map(lambda asked: replace(asked, target=US))
HEADS = st.sampled_from(
    [b"\x08\x00\x45", b"\x08\x00\x46", b"\x08\x00\x4f", b"\x08\x06\x00\x01\x08\x00\x06\x04", b"\x81\x00"]
)
BYTES = (
    st.binary(max_size=120)
    | st.builds(
        lambda to, head, rest: to + head + rest, st.binary(min_size=12, max_size=12), HEADS, st.binary(max_size=80)
    )
    | FRAMES.map(write_udp)
    | QUESTIONS.map(write_arp)
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A frame with a few bytes changed somewhere."""
    frame = draw(BYTES)
    at = draw(st.integers(0, len(frame)))
    return frame[:at] + draw(st.binary(max_size=3)) + frame[at + draw(st.integers(0, 3)) :]


@settings(deadline=None, max_examples=300)
@given(BYTES | mutated(), st.booleans())
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
@given(st.lists(BYTES | mutated(), max_size=30))
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
