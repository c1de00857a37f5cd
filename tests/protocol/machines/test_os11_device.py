# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.machines.os11_device: servers that are not what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.protocol.machines.framing import read_frames, read_goodbye, write_frame
from tests.protocol.machines.os11_pair import (
    DEVICE_NONCE,
    HELLO,
    KEY,
    OTHER_KEY,
    REGISTER,
    PushPair,
    answering_device,
    calling_device,
    calling_server,
)
from tests.protocol.machines.pair import START, UNIT_ID, drain
from tests.support.greeting import hello
from umslab_protocol.errors import LocalProtocolError
from umslab_protocol.machines.os11_device import CallingDevice
from umslab_protocol.machines.session import Received
from umslab_protocol.values.unit_id import UnitId
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.codec import JsonCodec
from umslab_protocol.wire.messages import Welcome
from umslab_protocol.wire.os11 import (
    Challenge,
    Contact,
    ContactRefusal,
    Proof,
    Refused,
    Registered,
    decode_greeting,
    encode_greeting,
)
from umslab_protocol.wire.os11_proof import Speaker, make_proof

if TYPE_CHECKING:
    from umslab_protocol.wire.os11 import Greeting

NONCE = "ab" * 32
CHALLENGE = Challenge(version=1, nonce=NONCE)
CONTACT = Contact(versions=[1], unitID=UNIT_ID, nonce=NONCE)


def welcome(version: int = 1) -> Welcome:
    """What a server says."""
    return Welcome(version=version, server="ums", session="s", pingSeconds=0.0, maxMessageBytes=4096)


def answer(version: int = 1) -> Proof:
    """The right proof of a server that was called."""
    proof = make_proof(KEY, Speaker.ANSWERING_SERVER, UnitId(UNIT_ID), caller=DEVICE_NONCE.hex(), called=NONCE)
    return Proof(proof=proof, welcome=welcome(version))


def feed(device: CallingDevice, *said: Greeting) -> list[object]:
    """Let a device hear this; return what it told."""
    device.receive(b"".join(write_frame(encode_greeting(message)) for message in said), START)
    return list(drain(device, START))


def test_the_right_server() -> None:
    """It holds the key too."""
    device = calling_device()

    assert [Received(welcome())] == feed(device, CHALLENGE, answer())
    assert device.is_open


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ([CHALLENGE, Proof(proof="0" * 64, welcome=welcome())], CloseCode.REFUSED),
        ([CHALLENGE, Proof(proof=answer().proof)], CloseCode.PROTOCOL_ERROR),
        ([CHALLENGE, answer(version=2)], CloseCode.PROTOCOL_ERROR),
        ([CHALLENGE, CHALLENGE], CloseCode.PROTOCOL_ERROR),
        ([answer()], CloseCode.PROTOCOL_ERROR),
        ([Challenge(version=9, nonce=NONCE)], CloseCode.VERSION),
        ([Registered(welcome=welcome())], CloseCode.PROTOCOL_ERROR),
        ([CONTACT], CloseCode.PROTOCOL_ERROR),
    ],
)
def test_strange_servers(said: list[Greeting], code: CloseCode) -> None:
    """Each ends the call with a code; nothing is believed."""
    device = calling_device()

    assert [] == feed(device, *said)
    assert code == read_goodbye(device.output())[0]
    assert not device.is_open


@pytest.mark.parametrize("said", [CHALLENGE, answer(), Registered(welcome=welcome(version=3))])
def test_strange_answers_to_a_registration(said: Greeting) -> None:
    """Only `registered`, in a version that was offered, is one."""
    device = calling_device(register=REGISTER)

    assert [] == feed(device, said)
    assert CloseCode.PROTOCOL_ERROR == read_goodbye(device.output())[0]


def test_the_first_refusal_counts() -> None:
    """It is kept until the goodbye, and a second one changes nothing."""
    device = calling_device()
    first = Refused(refusal=ContactRefusal.BUSY, message="later", retryAfter=3.0)
    feed(device, first, Refused(refusal=ContactRefusal.UNKNOWN_DEVICE, message=""))

    assert first == device.refused


def test_a_registration_is_of_this_device() -> None:
    """Another key or another device in it is our bug."""
    for key, said in ((OTHER_KEY, HELLO), (KEY, hello("020000000002"))):
        with pytest.raises(LocalProtocolError):
            CallingDevice(codec=JsonCodec(), hello=said, key=key, nonce=DEVICE_NONCE, register=REGISTER, now=START)


# Called.


def test_a_caller_without_the_key() -> None:
    """It is told so, and learns nothing about the device."""
    pair = PushPair(server=calling_server(key=OTHER_KEY))
    pair.carry()

    assert (
        Refused(refusal=ContactRefusal.BAD_PROOF, message="the caller has not proved this device's key")
        == pair.server.refused
    )
    assert not [event for event in (*pair.server_saw, *pair.device_saw) if isinstance(event, Received)]


def test_a_replayed_call() -> None:
    """What was heard in one call opens no other: the device's nonce is fresh."""
    pair = PushPair()
    call = pair.server.output()
    pair.device.receive(call, START)
    drain(pair.device, START)
    pair.server.receive(pair.device.output(), START)
    drain(pair.server, START)
    proof = pair.server.output()
    again = answering_device(nonce=b"n" * 32)
    again.receive(call + proof, START)

    assert [] == drain(again, START)
    assert not again.is_open
    refused = decode_greeting(read_frames(again.output())[-2][1])
    assert isinstance(refused, Refused)
    assert ContactRefusal.BAD_PROOF == refused.refusal


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ([Contact(versions=[5], unitID=UNIT_ID, nonce=NONCE)], CloseCode.VERSION),
        ([Contact(versions=[1], unitID="020000000002", nonce=NONCE)], CloseCode.REFUSED),
        ([CONTACT, CONTACT], CloseCode.PROTOCOL_ERROR),
        ([CONTACT, Proof(proof="0" * 64)], CloseCode.PROTOCOL_ERROR),
        ([REGISTER], CloseCode.PROTOCOL_ERROR),
        (
            [
                CONTACT,
                Proof(
                    proof=make_proof(
                        KEY, Speaker.CALLING_SERVER, UnitId(UNIT_ID), caller=NONCE, called=DEVICE_NONCE.hex()
                    ),
                    welcome=welcome(version=4),
                ),
            ],
            CloseCode.PROTOCOL_ERROR,
        ),
    ],
)
def test_strange_callers(said: list[Greeting], code: CloseCode) -> None:
    """Each ends the call with a code, and no order is taken."""
    device = answering_device()
    device.receive(b"".join(write_frame(encode_greeting(message)) for message in said), START)

    assert [] == drain(device, START)
    assert code == read_goodbye(device.output())[0]
