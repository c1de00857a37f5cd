# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.wire.os11."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, get_args

import pytest
from hypothesis import given, settings

from tests.protocol.wire.instances import edges, instances, tag
from tests.support.greeting import hello
from umslab_protocol.wire.messages import MESSAGE_TYPES, UnreadableMessageError, Welcome
from umslab_protocol.wire.os11 import (
    GREETING_TYPES,
    MAX_GREETING_BYTES,
    Challenge,
    Contact,
    ContactRefusal,
    Greeting,
    Proof,
    Refused,
    Register,
    Registered,
    decode_greeting,
    encode_greeting,
)

if TYPE_CHECKING:
    import msgspec

NONCE = "0123456789abcdef" * 4
KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
HELLO = hello("020000000001")
WELCOME = Welcome(version=1, server="ums", session="s-1", pingSeconds=0.0, maxMessageBytes=1024)
_HELLO = b'{"type":"hello","versions":[1],"unitID":"020000000001","firmwareVersion":"12.8.4","boot":"1"}'
_WELCOME = b'{"type":"welcome","version":1,"server":"ums","session":"s-1","pingSeconds":0.0,"maxMessageBytes":1024}'

# One of each, with the bytes that the format's description shows.
SAMPLES: list[tuple[Greeting, bytes]] = [
    (
        Contact(versions=[1], unitID="020000000001", nonce=NONCE),
        b'{"type":"contact","versions":[1],"unitID":"020000000001","nonce":"%s"}' % NONCE.encode(),
    ),
    (Challenge(version=1, nonce=NONCE), b'{"type":"challenge","version":1,"nonce":"%s"}' % NONCE.encode()),
    (Proof(proof=NONCE, hello=HELLO), b'{"type":"proof","proof":"%s","hello":%s}' % (NONCE.encode(), _HELLO)),
    (Proof(proof=NONCE, welcome=WELCOME), b'{"type":"proof","proof":"%s","welcome":%s}' % (NONCE.encode(), _WELCOME)),
    (
        Register(hello=HELLO, mac="020000000001", key=KEY, certificate="PEM", user="ann", password="x"),
        b'{"type":"register","hello":%s,"mac":"020000000001","key":"%s","certificate":"PEM","user":"ann",'
        b'"password":"x"}' % (_HELLO, KEY.encode()),
    ),
    (
        Registered(welcome=WELCOME, name="ITC020000000001"),
        b'{"type":"registered","welcome":%s,"name":"ITC020000000001"}' % _WELCOME,
    ),
    (
        Refused(refusal=ContactRefusal.BUSY, message="later", retryAfter=5.0),
        b'{"type":"refused","refusal":"busy","message":"later","retryAfter":5.0}',
    ),
]

kinds = pytest.mark.parametrize("kind", GREETING_TYPES, ids=tag)


@pytest.mark.parametrize(("message", "payload"), SAMPLES)
def test_bytes(message: Greeting, payload: bytes) -> None:
    """What is written, and that it reads back."""
    assert payload == encode_greeting(message)
    assert message == decode_greeting(payload)


def test_the_list_is_complete() -> None:
    """Every message is in the list of types, and none has the name of a message of the session."""
    assert set(get_args(Greeting)) == set(GREETING_TYPES)
    assert set() == {tag(kind) for kind in GREETING_TYPES} & {tag(kind) for kind in MESSAGE_TYPES}
    assert set(GREETING_TYPES) == {type(message) for message, _ in SAMPLES}


@kinds
def test_there_and_back(kind: type[msgspec.Struct]) -> None:
    """Whatever can be said can be read."""

    @settings(deadline=None, max_examples=30)
    @given(instances(kind))
    def look(message: Greeting) -> None:
        assert message == decode_greeting(encode_greeting(message))

    look()


@kinds
def test_limits(kind: type[msgspec.Struct]) -> None:
    """At every limit it is read, beyond it is not."""
    for what, document, good in edges(kind):
        payload = json.dumps(document).encode()
        if good:
            assert isinstance(decode_greeting(payload), kind), what
        else:
            with pytest.raises(UnreadableMessageError):
                decode_greeting(payload)


def test_a_registration_fits() -> None:
    """With everything in it as long as people write it, and a certificate of RSA 4096."""
    register = Register(
        hello=HELLO, mac="020000000001", key=KEY, certificate="x" * 2000, user="u" * 255, password="p" * 255,
        token="t" * 255, name="n" * 255, structureTag="s" * 255, directory="d" * 2000,
    )  # fmt: skip

    assert len(encode_greeting(register)) < MAX_GREETING_BYTES / 2


def test_secrets_are_not_shown() -> None:
    """Neither by what holds a registration, nor by the complaint about a bad one."""
    register = Register(hello=HELLO, mac="m", key=KEY, certificate="c", user="ann", password="hunter2", token="t0ken")
    document = json.loads(encode_greeting(register))
    with pytest.raises(UnreadableMessageError) as refused:
        decode_greeting(json.dumps({**document, "key": "hunter2"}).encode())

    assert "Register(unitID='020000000001', ...)" == repr(register)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b'{"type":"hello"}', b'{"type":"new"}', b"\xff", b"[" * 9000])
def test_nonsense(payload: bytes) -> None:
    """Anything else is refused with one kind of error."""
    with pytest.raises(UnreadableMessageError):
        decode_greeting(payload)
