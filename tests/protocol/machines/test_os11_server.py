# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.machines.os11_server: verdicts, and peers that are not what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.protocol.machines.framing import read_frames, read_goodbye, write_frame
from tests.protocol.machines.os11_pair import (
    HELLO,
    KEY,
    OTHER_KEY,
    REGISTER,
    SERVER_NONCE,
    ContactPair,
    PushPair,
    answering_device,
    answering_server,
    calling_device,
    calling_server,
)
from tests.protocol.machines.pair import START, UNIT_ID, drain
from umslab_protocol.errors import LocalProtocolError
from umslab_protocol.machines.carrier import Closed
from umslab_protocol.machines.os11_server import Greeted
from umslab_protocol.machines.session import Received
from umslab_protocol.values.unit_id import UnitId
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.os11 import (
    Challenge,
    Contact,
    ContactRefusal,
    Proof,
    Refused,
    decode_greeting,
    encode_greeting,
)
from umslab_protocol.wire.os11_proof import Speaker, make_proof

if TYPE_CHECKING:
    from umslab_protocol.machines.os11_server import AnsweringServer
    from umslab_protocol.wire.os11 import Greeting

NONCE = "ab" * 32
CONTACT = Contact(versions=[1], unitID=UNIT_ID, nonce=NONCE)


def frame(message: Greeting) -> bytes:
    """Write a message of the greeting."""
    return write_frame(encode_greeting(message))


def proof(speaker: Speaker = Speaker.CALLING_DEVICE, *, caller: str = NONCE, called: str = SERVER_NONCE.hex()) -> str:
    """A proof with the right key."""
    return make_proof(KEY, speaker, UnitId(UNIT_ID), caller=caller, called=called)


def greeted(said: str) -> AnsweringServer:
    """A server that waits for the verdict about a device that has said this proof."""
    server = answering_server()
    server.receive(frame(CONTACT) + frame(Proof(proof=said, hello=HELLO)), START)

    assert [Greeted(HELLO, UnitId(UNIT_ID), 0)] == drain(server, START)

    return server


def refusal_of(data: bytes) -> Refused:
    """The refusal that stands before the goodbye."""
    refused = decode_greeting(read_frames(data)[-2][1])
    assert isinstance(refused, Refused)
    return refused


# Verdicts.


def test_a_proved_key() -> None:
    """Only the right key is proved, and only a proved key admits."""
    server = greeted(proof())

    assert server.proves(KEY)
    assert not server.proves(OTHER_KEY)
    with pytest.raises(LocalProtocolError):
        server.admit(OTHER_KEY, START)

    assert not server.is_open

    server.admit(KEY, START)

    assert server.is_open


@pytest.mark.parametrize(
    "said",
    [
        "0" * 64,
        proof(caller="cd" * 32),
        proof(called="cd" * 32),
        proof(Speaker.ANSWERING_SERVER),
        proof(Speaker.ANSWERING_DEVICE),
        proof(Speaker.CALLING_SERVER),
    ],
    ids=["invented", "of another contact", "replayed", "reflected", "from 30005", "from 30005, reflected"],
)
def test_a_proof_that_is_none(said: str) -> None:
    """Invented, replayed, reflected, or from the other port."""
    server = greeted(said)

    assert not server.proves(KEY)
    with pytest.raises(LocalProtocolError):
        server.admit(KEY, START)


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (ContactRefusal.UNKNOWN_DEVICE, CloseCode.REFUSED),
        (ContactRefusal.BAD_PROOF, CloseCode.REFUSED),
        (ContactRefusal.BUSY, CloseCode.BUSY),
    ],
)
def test_refusing(refusal: ContactRefusal, code: CloseCode) -> None:
    """The device learns why, and when to come back, and both end."""
    pair = ContactPair()
    pair.carry()
    pair.server.refuse(refusal, "not now", START, retry_after=7.0)
    pair.carry()

    assert Refused(refusal=refusal, message="not now", retryAfter=7.0) == pair.device.refused
    assert [Closed(code, "not now", by_peer=True)] == pair.device_saw
    assert [Closed(code, "not now", by_peer=False)] == pair.server_saw[1:]


def test_refusing_a_registration() -> None:
    """The same; a verdict of the other kind is our bug."""
    pair = ContactPair(calling_device(register=REGISTER))
    pair.carry()
    with pytest.raises(LocalProtocolError):
        pair.server.admit(KEY, START)
    pair.server.refuse(ContactRefusal.CREDENTIALS, "wrong password", START)
    pair.server.accept("Kiosk", START)
    pair.carry()

    assert Refused(refusal=ContactRefusal.CREDENTIALS, message="wrong password") == pair.device.refused
    assert not pair.server.is_open


def test_registering_who_did_not_ask() -> None:
    """That is our bug too."""
    with pytest.raises(LocalProtocolError):
        greeted(proof()).accept("", START)


def test_a_late_verdict() -> None:
    """When the time for the greeting is over, nobody is admitted any more."""
    server = greeted(proof())
    server.output()
    server.on_deadline(START + 10)
    server.admit(KEY, START + 11)

    assert not server.is_open
    assert (4008, "the greeting did not come in time") == read_goodbye(server.output())


def test_who_prove_before_they_are_challenged() -> None:
    """There is nothing to prove, nor to admit."""
    server = answering_server()
    server.receive(frame(Proof(proof=proof(), hello=HELLO)), START)

    assert [] == drain(server, START)
    assert not server.proves(KEY)
    assert CloseCode.PROTOCOL_ERROR == read_goodbye(server.output())[0]


# Devices that are not what they say.


@pytest.mark.parametrize(
    ("first", "refusal", "reason"),
    [
        (Contact(versions=[2, 3], unitID=UNIT_ID, nonce=NONCE), ContactRefusal.VERSION, "version 1 is spoken"),
        (Contact(versions=[1], unitID="me", nonce=NONCE), ContactRefusal.REFUSED, "'me' is not a unit ID"),
        (msgspec.structs.replace(REGISTER, mac="?"), ContactRefusal.REFUSED, "'?' is not a MAC address"),
        (
            msgspec.structs.replace(REGISTER, hello=msgspec.structs.replace(HELLO, versions=[9])),
            ContactRefusal.VERSION,
            "version 1 is spoken",
        ),
        (
            msgspec.structs.replace(REGISTER, hello=msgspec.structs.replace(HELLO, unitID="")),
            ContactRefusal.REFUSED,
            "is not a unit ID",
        ),
    ],
)
def test_refused_without_asking(first: Greeting, refusal: ContactRefusal, reason: str) -> None:
    """What can be judged without the registry is."""
    server = answering_server()
    server.receive(frame(first), START)

    assert [] == drain(server, START)

    refused = refusal_of(server.output())

    assert refusal == refused.refusal
    assert reason in refused.message


def test_the_highest_common_version() -> None:
    """Unknown ones do not disturb."""
    server = answering_server()
    server.receive(frame(Contact(versions=[7, 1, 0], unitID=UNIT_ID, nonce=NONCE)), START)
    drain(server, START)

    assert Challenge(version=1, nonce=SERVER_NONCE.hex()) == decode_greeting(read_frames(server.output())[0][1])


@pytest.mark.parametrize(
    "second",
    [
        CONTACT,
        REGISTER,
        Challenge(version=1, nonce=NONCE),
        Proof(proof=proof()),
        Proof(proof=proof(), hello=msgspec.structs.replace(HELLO, unitID="020000000002")),
    ],
)
def test_out_of_order(second: Greeting) -> None:
    """A second beginning, a proof without hello, or the hello of another device."""
    server = answering_server()
    server.receive(frame(CONTACT) + frame(second), START)

    assert [] == drain(server, START)
    assert CloseCode.PROTOCOL_ERROR == read_goodbye(server.output())[0]


# Calling.


def test_a_called_device_without_the_key() -> None:
    """It does not get as far as an order."""
    pair = PushPair(answering_device(key=OTHER_KEY))
    pair.carry()

    assert not pair.server.is_open
    assert ContactRefusal.BAD_PROOF == (pair.server.refused and pair.server.refused.refusal)
    assert not [event for event in (*pair.server_saw, *pair.device_saw) if isinstance(event, Received)]


def test_another_device_answers() -> None:
    """It says so, and the server has it in `refused`."""
    pair = PushPair(server=calling_server(unit_id="020000000002"))
    pair.carry()

    assert ContactRefusal.UNKNOWN_DEVICE == (pair.server.refused and pair.server.refused.refusal)
    assert pair.server.done


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ([Challenge(version=2, nonce=NONCE)], CloseCode.VERSION),
        ([Challenge(version=1, nonce=NONCE), Challenge(version=1, nonce=NONCE)], CloseCode.PROTOCOL_ERROR),
        ([Challenge(version=1, nonce=NONCE), Proof(proof="0" * 64, hello=HELLO)], CloseCode.REFUSED),
        ([Challenge(version=1, nonce=NONCE), Proof(proof="0" * 64)], CloseCode.PROTOCOL_ERROR),
        ([Proof(proof="0" * 64, hello=HELLO)], CloseCode.PROTOCOL_ERROR),
        ([CONTACT], CloseCode.PROTOCOL_ERROR),
        (
            [
                Challenge(version=1, nonce=NONCE),
                Proof(
                    proof=proof(Speaker.ANSWERING_DEVICE, caller=SERVER_NONCE.hex(), called=NONCE),
                    hello=msgspec.structs.replace(HELLO, unitID="020000000002"),
                ),
            ],
            CloseCode.PROTOCOL_ERROR,
        ),
    ],
)
def test_strange_devices(said: list[Greeting], code: CloseCode) -> None:
    """Each ends the call with a code, and none is seen as a device."""
    server = calling_server()
    server.receive(b"".join(map(frame, said)), START)

    assert [] == drain(server, START)
    assert code == read_goodbye(server.output())[0]
    assert not server.is_open


def test_secrets_are_not_shown() -> None:
    """What a log may show of an event holds neither key nor password."""
    pair = ContactPair(calling_device(register=REGISTER))
    pair.carry()

    assert KEY.text not in repr(pair.server_saw)
    assert "secret" not in repr(pair.server_saw)
