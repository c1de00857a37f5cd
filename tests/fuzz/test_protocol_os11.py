# SPDX-License-Identifier: Apache-2.0
"""Any bytes at all, given to the OS 11 machines: they never raise, say little, keep little, and end once.

Random bytes, random frames, and whole conversations of real sessions with a few bytes changed; verdicts come at any
time, also too late.
"""

from __future__ import annotations

import json
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol.machines.framing import GOODBYE, MESSAGE, write_frame, write_goodbye
from tests.protocol.machines.os11_pair import (
    KEY,
    REGISTER,
    ContactPair,
    PushPair,
    answering_device,
    answering_server,
    calling_device,
    calling_server,
)
from tests.protocol.machines.pair import START, UNIT_ID
from tests.protocol.wire.instances import documents
from umslab_protocol.machines.carrier import Closed, MessageReceived
from umslab_protocol.machines.frames import HEADER_BYTES, FrameMachine
from umslab_protocol.machines.os11 import Os11Session
from umslab_protocol.machines.os11_server import AnsweringServer, Greeted, RegistrationAsked
from umslab_protocol.machines.session import MAX_BAD_MESSAGES, Received
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.messages import MESSAGE_TYPES, Ack, PullSettings, SettingsMessage
from umslab_protocol.wire.os11 import GREETING_TYPES, MAX_GREETING_BYTES, ContactRefusal, Register

MOST = 2048
LONGEST_ERROR = 2_200
CASES = [
    "30001 device",
    "30001 new device",
    "30001 server",
    "30001 server, registering",
    "30005 device",
    "30005 server",
]

some_json = st.sampled_from([*GREETING_TYPES, *MESSAGE_TYPES]).flatmap(documents).map(json.dumps).map(str.encode)
bodies = (
    st.binary(max_size=130)
    | st.sampled_from([b"", b"\xff", b"{}", b"[" * 1500, bytes(MOST), bytes(MOST + 1)])
    | some_json
)
kinds = st.sampled_from([MESSAGE, MESSAGE, MESSAGE, MESSAGE, GOODBYE]) | st.integers(0, 255)
rows = st.lists(st.builds(write_frame, bodies, kinds), min_size=1, max_size=8).map(b"".join)


def machine(case: str) -> Os11Session:
    """A machine of this role, before its greeting."""
    match case:
        case "30001 device":
            return calling_device()
        case "30001 new device":
            return calling_device(register=REGISTER)
        case "30005 device":
            return answering_device()
        case "30005 server":
            return calling_server()
    return answering_server()


@cache
def conversation(case: str) -> bytes:
    """Return all bytes that the peer of this role says in a good session."""
    pair: PushPair | ContactPair = (
        PushPair() if case.startswith("30005") else ContactPair(calling_device(register=_register(case)))
    )
    to_server = "server" in case
    heard = bytearray()
    for step in range(8):
        if step == 5:
            pair.device.send(PullSettings(id=1))
            pair.server.send(SettingsMessage(id=1, re=1, version=1, digest="d", settings={"a.b": "ü"}))
        if step == 6:
            pair.device.send(Ack(re=1))
        if step == 7:
            (pair.device if to_server else pair.server).close(CloseCode.NORMAL, "bye", START)
        from_device, from_server = pair.device.output(), pair.server.output()
        heard += from_device if to_server else from_server
        pair.server.receive(from_device, START)
        pair.device.receive(from_server, START)
        while event := pair.server.next_event(START):
            decide(pair.server, event, admit=True)
        while pair.device.next_event(START):
            pass
    return bytes(heard)


def _register(case: str) -> Register | None:
    return REGISTER if "new" in case or "registering" in case else None


def decide(server: object, event: object, *, admit: bool) -> None:
    """Give the verdict that is due, if one is."""
    assert isinstance(server, Os11Session)
    if not isinstance(server, AnsweringServer) or not isinstance(event, Greeted | RegistrationAsked):
        return
    if isinstance(event, RegistrationAsked) and admit:
        server.accept("name", START)
    elif isinstance(event, Greeted) and admit and server.proves(KEY):
        server.admit(KEY, START)
    else:
        server.refuse(ContactRefusal.REFUSED, "no", START)


@st.composite
def hostile(draw: st.DrawFn) -> tuple[str, list[bytes]]:
    """Draw a role and what its peer sends, cut into reads."""
    case = draw(st.sampled_from(CASES))
    data = draw(st.one_of(st.binary(max_size=300), rows, _mutated(case), _mutated(case)))
    size = draw(st.sampled_from([1, 7, 100, 100_000]))
    return case, [data[at : at + size] for at in range(0, len(data), size)]


@st.composite
def _mutated(draw: st.DrawFn, case: str) -> bytes:
    data = bytearray(conversation(case))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(data) + draw(st.sampled_from([b"", write_goodbye(1000)]))


@settings(deadline=None, max_examples=150)
@given(st.lists(rows | st.binary(max_size=40), max_size=6), st.none() | st.integers(0, 5))
def test_frames(pieces: list[bytes], close_at: int | None) -> None:
    """Any bytes: messages within the limit, then exactly one end, and nothing after it."""
    frames = FrameMachine(max_message_bytes=MOST, silent_after=None, now=START)
    seen: list[MessageReceived | Closed] = []
    for number, piece in enumerate(pieces):
        if number == close_at:
            frames.close(CloseCode.NORMAL, "enough", START)
        frames.receive(piece, START)
        while (event := frames.next_event()) is not None:
            seen.append(event)

        assert frames.buffered < HEADER_BYTES + MOST
        assert len(frames.output()) <= 2 * 130
        assert frames.done == bool(seen and isinstance(seen[-1], Closed))
    frames.receive_eof(START)
    while (event := frames.next_event()) is not None:
        seen.append(event)

    assert isinstance(seen[-1], Closed)
    assert all(isinstance(event, MessageReceived) and 0 < len(event.payload) <= MOST for event in seen[:-1])


def play(
    case: str, pieces: list[bytes], *, late: float = 0.0, verdict_after: int = 0, admit: bool = True
) -> list[Received]:
    """Feed a machine, deciding so many reads after it was asked; return what its user sees before the end."""
    session = machine(case)
    said = len(session.output())
    seen: list[object] = []
    due: list[tuple[int, object]] = []
    now = START

    def look() -> None:
        while (event := session.next_event(now)) is not None:
            seen.append(event)
            due.append((number + verdict_after, event))
            if not verdict_after:
                decide(session, due.pop()[1], admit=admit)

    for number, piece in enumerate([*pieces, b""]):
        now += late
        session.on_deadline(now)
        if piece:
            session.receive(piece, now)
        else:
            session.receive_eof(now)
        look()
        while due and due[0][0] <= number:
            decide(session, due.pop(0)[1], admit=admit)
            look()
        said += len(session.output())

    assert said <= 3 * sum(map(len, pieces)) + MAX_BAD_MESSAGES * LONGEST_ERROR + 4000
    assert session._frames.buffered <= MAX_GREETING_BYTES + 100_000
    assert session.done
    assert not session.is_open
    assert None is session.deadline()
    assert isinstance(seen[-1], Closed)
    return [event for event in seen[:-1] if isinstance(event, Received)]


@settings(deadline=None, max_examples=250)
@given(hostile(), st.sampled_from([0.0, 0.0, 1.0, 40.0]), st.sampled_from([0, 0, 1, 3]), st.booleans())
def test_a_session(heard: tuple[str, list[bytes]], late: float, verdict_after: int, admit: bool) -> None:  # noqa: FBT001
    """Any bytes at any time, any verdict at any time: no exception, bounded output, exactly one end."""
    play(*heard, late=late, verdict_after=verdict_after, admit=admit)


@settings(deadline=None, max_examples=100)
@given(hostile())
def test_where_the_network_cuts_does_not_matter(heard: tuple[str, list[bytes]]) -> None:
    """The user sees the same, all at once or one by one."""
    case, pieces = heard
    data = b"".join(pieces)

    assert play(case, [data]) == play(case, [data[at : at + 1] for at in range(len(data))])


def test_the_good_conversations_are_good() -> None:
    """Unchanged, they get through the greeting: what is mutated above is worth it."""
    for case in CASES:
        assert len(play(case, [conversation(case)])) >= 2, (case, UNIT_ID)
