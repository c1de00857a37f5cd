# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.wire.messages."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from umslab_protocol.wire.messages import (
    DEFAULT_PING_SECONDS,
    MAX_MESSAGE_BYTES,
    MESSAGE_TYPES,
    SUBPROTOCOL,
    VERSIONS,
    Ack,
    Deregister,
    DeviceInfo,
    Error,
    Hello,
    Message,
    UnreadableMessageError,
    UpdateDeviceInfo,
    Welcome,
    decode_message,
    encode_message,
)

INFO = DeviceInfo(unitID="020000000001", mac="020000000001", firmwareVersion="12.8.4", productId="UD3")

# One of each, with the bytes that the format's description shows.
SAMPLES: list[tuple[Message, bytes]] = [
    (
        Hello(versions=[1], unitID="020000000001", firmwareVersion="12.8.4"),
        b'{"type":"hello","versions":[1],"unitID":"020000000001","firmwareVersion":"12.8.4"}',
    ),
    (
        Welcome(version=1, server="ums-1", session="s-1", pingSeconds=120.0, maxMessageBytes=262144),
        b'{"type":"welcome","version":1,"server":"ums-1","session":"s-1","pingSeconds":120.0,"maxMessageBytes":262144}',
    ),
    (
        UpdateDeviceInfo(id=1, info=INFO),
        (
            b'{"type":"updateDeviceInfo","id":1,"info":{"unitID":"020000000001","mac":"020000000001",'
            b'"firmwareVersion":"12.8.4","productId":"UD3"}}'
        ),
    ),
    (Deregister(id=2, reason="deleted"), b'{"type":"deregister","id":2,"reason":"deleted"}'),
    (Ack(re=2), b'{"type":"ack","re":2}'),
    (Error(code="busy", message="later"), b'{"type":"error","code":"busy","message":"later","re":null}'),
]


@pytest.mark.parametrize(("message", "payload"), SAMPLES)
def test_samples(message: Message, payload: bytes) -> None:
    """Each message both ways, byte by byte."""
    assert payload == encode_message(message)
    assert message == decode_message(payload)


def test_there_is_a_sample_of_each() -> None:
    """A new message needs a sample above."""
    assert set(MESSAGE_TYPES) == {type(message) for message, _ in SAMPLES}


@pytest.mark.parametrize(("message", "payload"), SAMPLES)
def test_members_may_come_in_any_order(message: Message, payload: bytes) -> None:
    """Other implementations sort them, or put the type last."""
    members = json.loads(payload)

    assert message == decode_message(json.dumps(dict(reversed(members.items()))).encode())


@pytest.mark.parametrize(("message", "payload"), SAMPLES)
def test_unknown_members_are_ignored(message: Message, payload: bytes) -> None:
    """A newer minor format can be spoken to us."""
    members = {**json.loads(payload), "somethingNew": {"deep": [1, None]}}

    assert message == decode_message(json.dumps(members).encode())


def test_a_byte_order_mark_is_tolerated() -> None:
    """As agents do since OS 12.10.0 (W14)."""
    assert Ack(re=1) == decode_message(b'\xef\xbb\xbf{"type":"ack","re":1}')


def test_numbers_of_the_format() -> None:
    """What this side speaks, how much at once, and how often it asks after the other (as OS 11 does, I7)."""
    assert ("umslab.session.v1", (1,)) == (SUBPROTOCOL, VERSIONS)
    assert 256 * 1024 == MAX_MESSAGE_BYTES
    assert 120.0 == DEFAULT_PING_SECONDS


def test_a_message_cannot_be_changed() -> None:
    """Codecs, sessions and services pass the same object on."""
    with pytest.raises(AttributeError, match="immutable"):
        INFO.mac = "020000000002"  # type: ignore[misc]


@pytest.mark.parametrize("name", DeviceInfo.__struct_fields__)
def test_attributes_of_a_device(name: str) -> None:
    """The names are those of the vendor's REST interface (section 15.4); only the firmware's version is not."""
    published = """unitID mac networkName serialNumber productId umsStructuralTag cpuSpeed cpuType deviceType
        deviceSerialNumber osType flashSize memorySize biosVendor biosVersion biosDate totalUptime lastBoottime
        batteryLevel"""

    assert name in {*published.split(), "firmwareVersion"}


def test_attributes_survive() -> None:
    """All attributes both ways; those with their default value are not sent."""
    info = msgspec.structs.replace(INFO, batteryLevel=87, memorySize=4096, networkName="ITC020000000001")
    message = UpdateDeviceInfo(id=3, info=info)
    payload = encode_message(message)

    assert message == decode_message(payload)
    assert b"biosDate" not in payload


@pytest.mark.parametrize(
    ("payload", "code", "re"),
    [
        (b"", "not-json", None),
        (b"hello", "not-json", None),
        (b'{"type":"ack","re":1', "not-json", None),
        (b'{"type":"ack","re":1}{}', "not-json", None),
        ('{"type":"ack","re":1}'.encode("utf-16"), "not-json", None),
        (b'{"type":"welcome","version":NaN}', "not-json", None),
        (b"null", "invalid-message", None),
        (b"[]", "invalid-message", None),
        (b"{}", "invalid-message", None),
        (b'{"type":7}', "invalid-message", None),
        (b'{"type":"ack"}', "invalid-message", None),
        (b'{"type":"ack","re":0}', "invalid-message", None),
        (b'{"type":"ack","re":true}', "invalid-message", None),
        (b'{"type":"ack","re":1.5}', "invalid-message", None),
        (b'{"type":"ack","re":9007199254740993}', "invalid-message", None),
        (b'{"type":"ack","type":"error","re":1}', "invalid-message", None),
        (b'{"type":"updateDeviceInfo","id":7,"info":{}}', "invalid-message", 7),
        (b'{"type":"updateDeviceInfo","id":0,"info":{}}', "invalid-message", None),
        (b'{"type":"hello","versions":[],"unitID":"u","firmwareVersion":"f"}', "invalid-message", None),
        (b'{"type":"reboot","id":9}', "unknown-type", 9),
        (b'{"type":"reboot"}', "unknown-type", None),
        (b'{"type":""}', "unknown-type", None),
    ],
)
def test_unreadable(payload: bytes, code: str, re: int | None) -> None:
    """Three codes; the id of the message is told where it can be read, so that the answer can name it."""
    with pytest.raises(UnreadableMessageError) as caught:
        decode_message(payload)

    assert (code, re) == (caught.value.code, caught.value.re)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b'{"type":"deregister","id":4,"reason":"\xff"}', "invalid-message"),
        (b'{"type":"\xff"}', "not-json"),
        (b'{"type":"deregister","id":4,"reason":"\\ud800"}', "not-json"),
    ],
)
def test_text_that_is_not_unicode(payload: bytes, code: str) -> None:
    """Broken UTF-8 and half a surrogate pair are the peer's fault like anything else."""
    with pytest.raises(UnreadableMessageError) as caught:
        decode_message(payload)

    assert code == caught.value.code


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"null", "Expected `object`, got `null`"),
        (b'{"type":"reboot","id":-1}', "Invalid value 'reboot'"),
        (b'{"type":"ack"}', "missing required field `re`"),
        (b'{"type":"updateDeviceInfo","id":7,"info":{}}', r"missing required field `unitID` - at `\$.info`"),
        (b'{"type":"reboot","id":9}', "unknown type 'reboot'"),
        (b"{", "the message is not JSON: "),
    ],
)
def test_reasons(payload: bytes, reason: str) -> None:
    """The text says what is wrong and where."""
    with pytest.raises(UnreadableMessageError, match=reason):
        decode_message(payload)


@pytest.mark.parametrize(
    "payload",
    [
        b'{"type":"%s"}' % (b"x" * 100_000),
        b'{"type":"%s","id":-1}' % (b"x" * 100_000),
        b'{"type":"ack","type":"%s"}' % (b"x" * 100_000),
    ],
)
def test_reasons_are_short(payload: bytes) -> None:
    """A long text of the peer's is not sent back to it."""
    with pytest.raises(UnreadableMessageError) as caught:
        decode_message(payload)

    assert len(caught.value.reason) < 400


@pytest.mark.parametrize(
    ("members", "name", "most"),
    [
        ({"type": "hello", "versions": [1], "firmwareVersion": "f"}, "unitID", 255),
        ({"type": "hello", "versions": [1], "unitID": "u"}, "firmwareVersion", 255),
        ({"type": "deregister", "id": 1}, "reason", 2000),
        ({"type": "error", "message": ""}, "code", 255),
        ({"type": "error", "code": ""}, "message", 2000),
    ],
)
def test_lengths_are_bounded(members: dict[str, Any], name: str, most: int) -> None:
    """Every text has a limit, counted in characters."""
    decode_message(json.dumps({**members, name: "ü" * most}).encode())

    with pytest.raises(UnreadableMessageError, match=f"length <= {most}"):
        decode_message(json.dumps({**members, name: "ü" * (most + 1)}).encode())


def test_the_list_of_versions_is_bounded() -> None:
    """Sixteen is plenty."""
    decode_message(json.dumps({"type": "hello", "versions": [1] * 16, "unitID": "", "firmwareVersion": ""}).encode())

    with pytest.raises(UnreadableMessageError, match="length <= 16"):
        decode_message(
            json.dumps({"type": "hello", "versions": [1] * 17, "unitID": "", "firmwareVersion": ""}).encode()
        )


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * 250_000,
        b'{"a":' * 50_000,
        b'{"type":"ack","re":1,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"type":"reboot","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"type":"hello","versions":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"type":"hello","versions":[' + b"9" * 250_000 + b"]}",
    ],
)
def test_bombs(payload: bytes) -> None:
    """Deep nesting and endless numbers are refused like any other nonsense."""
    with pytest.raises(UnreadableMessageError):
        decode_message(payload)


def test_the_error_is_the_peers() -> None:
    """It carries what is needed for the answer."""
    error = UnreadableMessageError("why", code="not-json", re=5)

    assert ("why", "not-json", 5) == (error.reason, error.code, error.re)
