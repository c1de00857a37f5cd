# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.wire.messages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args

import pytest
from hypothesis import given, settings

from tests.protocol.wire.instances import edges, instances, tag
from umslab_protocol.wire.inventory import (
    AppState,
    Asset,
    AssetChange,
    AssetEvent,
    DeviceAttribute,
    DeviceInfo,
    FileState,
    InstallState,
    Licence,
    LogonEvent,
    Runtime,
)
from umslab_protocol.wire.messages import (
    DEFAULT_PING_SECONDS,
    FROM_DEVICE,
    FROM_SERVER,
    MAX_MESSAGE_BYTES,
    MESSAGE_TYPES,
    SUBPROTOCOL,
    VERSIONS,
    Ack,
    Command,
    Connectors,
    Deregister,
    Error,
    Hello,
    Message,
    PullSettings,
    PushAppStatus,
    PushAssetEvents,
    PushDeviceAttributes,
    PushFileStatus,
    PushLicenseInfo,
    PushLogonEvents,
    PushRuntime,
    PushSettings,
    PushSysinfo,
    Result,
    Roots,
    SettingsMessage,
    UnreadableMessageError,
    Welcome,
    decode_message,
    encode_message,
)
from umslab_protocol.wire.orders import (
    MAX_DOCUMENT_BYTES,
    AppOrder,
    CommandName,
    Connector,
    ConnectorType,
    FileOrder,
    ResultState,
)

if TYPE_CHECKING:
    import msgspec

SHA256 = "0123456789abcdef" * 4
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
        PushSysinfo(id=1, info=INFO),
        (
            b'{"type":"pushsysinfo","id":1,"info":{"unitID":"020000000001","mac":"020000000001",'
            b'"firmwareVersion":"12.8.4","productId":"UD3"}}'
        ),
    ),
    (
        PushRuntime(id=2, runtime=Runtime(batteryLevel=87)),
        b'{"type":"pushruntime","id":2,"runtime":{"batteryLevel":87}}',
    ),
    (
        PushAppStatus(id=3, apps=[AppState(name="chromium", version="1.2", state=InstallState.FAILED, message="full")]),
        (
            b'{"type":"pushappstatus","id":3,"apps":[{"name":"chromium","version":"1.2","state":"failed",'
            b'"message":"full"}]}'
        ),
    ),
    (
        PushFileStatus(id=4, files=[FileState(name="logo.png", sha256=SHA256, state=InstallState.INSTALLED)]),
        (
            b'{"type":"pushfilestatus","id":4,"files":[{"name":"logo.png","sha256":"%s","state":"installed"}]}'
            % SHA256.encode()
        ),
    ),
    (
        PushLicenseInfo(id=5, licences=[Licence(name="workspace", state="valid", validUntil="2027-01-01")]),
        (
            b'{"type":"pushlicenseinfo","id":5,"licences":[{"name":"workspace","state":"valid",'
            b'"validUntil":"2027-01-01"}]}'
        ),
    ),
    (
        PushDeviceAttributes(id=6, attributes=[DeviceAttribute(identifier="room", value="7")]),
        b'{"type":"pushdeviceattributes","id":6,"attributes":[{"identifier":"room","value":"7"}]}',
    ),
    (
        PushLogonEvents(id=7, events=[LogonEvent(username="ann", logintime="2026-01-01 08:00:00.000")]),
        b'{"type":"pushlogonevents","id":7,"events":[{"username":"ann","logintime":"2026-01-01 08:00:00.000"}]}',
    ),
    (
        PushAssetEvents(
            id=8,
            events=[
                AssetEvent(
                    event=AssetChange.ADD_ON_BOOT,
                    eventTimeStamp=1_767_225_600_000,
                    asset=Asset(assetName="Mouse", deviceId="046d:c077"),
                )
            ],
        ),
        (
            b'{"type":"pushassetevents","id":8,"events":[{"event":"add_on_boot","eventTimeStamp":1767225600000,'
            b'"asset":{"assetName":"Mouse","deviceId":"046d:c077"}}]}'
        ),
    ),
    (PushSettings(id=9, settings={"a.b": "c"}), b'{"type":"pushsettings","id":9,"settings":{"a.b":"c"}}'),
    (PullSettings(id=10), b'{"type":"pullsettings","id":10,"version":0,"digest":""}'),
    (
        SettingsMessage(
            id=1,
            re=10,
            version=3,
            digest="d3",
            settings={"a.b": "c"},
            apps=[AppOrder(name="chromium", version="1.2")],
            files=[FileOrder(name="logo.png", sha256=SHA256, size=12)],
        ),
        (
            b'{"type":"settings","id":1,"re":10,"version":3,"digest":"d3","settings":{"a.b":"c"},'
            b'"apps":[{"name":"chromium","version":"1.2"}],"files":[{"name":"logo.png","sha256":"%s","size":12}]}'
            % SHA256.encode()
        ),
    ),
    (
        Command(id=2, execID="ID-ums-1", command=CommandName.MESSAGE, parameters={"text": "Hello"}),
        b'{"type":"command","id":2,"execID":"ID-ums-1","command":"message","parameters":{"text":"Hello"}}',
    ),
    (
        Connectors(id=3, digest="c1", connectors=[], enrolment="enrol.lab:443/est"),
        b'{"type":"connectors","id":3,"digest":"c1","connectors":[],"enrolment":"enrol.lab:443/est"}',
    ),
    (
        Connectors(id=3, digest="c1", connectors=[Connector(type=ConnectorType.UMS, host="ums.lab", port=8443)]),
        b'{"type":"connectors","id":3,"digest":"c1","connectors":[{"type":"ums","host":"ums.lab","port":8443}]}',
    ),
    (Roots(id=4, digest="r1", pem="PEM"), b'{"type":"roots","id":4,"digest":"r1","pem":"PEM"}'),
    (
        Result(re=2, execID="ID-ums-1", state=ResultState.SUCCESS),
        b'{"type":"result","re":2,"execID":"ID-ums-1","state":"SUCCESS"}',
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


kinds = pytest.mark.parametrize("kind", MESSAGE_TYPES, ids=tag)


@kinds
def test_every_message_both_ways(kind: type[msgspec.Struct]) -> None:
    """Whatever may be said in it comes out of the codec as it went in."""

    @settings(deadline=None, max_examples=40)
    @given(instances(kind))
    def check(message: Message) -> None:
        assert message == decode_message(encode_message(message))

    check()


@kinds
def test_every_limit(kind: type[msgspec.Struct]) -> None:
    """Every member at its limits, beyond them, missing, and of another type; unknown members are ignored."""
    for what, document, good in edges(kind):
        payload = json.dumps(document).encode()
        if good:
            assert isinstance(decode_message(payload), kind), what
        else:
            assert "invalid-message" == refusal(payload), what


def refusal(payload: bytes) -> str:
    """Why a payload cannot be read; empty when it can."""
    try:
        decode_message(payload)
    except UnreadableMessageError as error:
        return str(error.code)
    return ""


@kinds
def test_what_wants_an_answer_has_an_id(kind: type[msgspec.Struct]) -> None:
    """A number from 1 on; answers name it in `re`; no message but `settings`, which does both, has the two."""
    fields = set(kind.__struct_fields__)

    assert (tag(kind) in {"hello", "welcome", "ack", "error", "result"}) == ("id" not in fields)
    assert (tag(kind) in {"ack", "error", "result", "settings"}) == ("re" in fields)


def test_who_may_say_what() -> None:
    """After the greeting, either side has its own messages; acknowledgements and errors are both sides'."""
    assert {Ack, Error} == set(FROM_DEVICE) & set(FROM_SERVER)
    assert {Hello, Welcome} == set(MESSAGE_TYPES) - set(FROM_DEVICE) - set(FROM_SERVER)
    assert set(MESSAGE_TYPES) == set(get_args(Message))
    assert all(tag(kind).startswith(("push", "pull")) for kind in set(FROM_DEVICE) - {Ack, Error, Result})


def test_everything_fits_into_one_message() -> None:
    """A settings document as long as the server lets it grow leaves room for what stands around it."""
    assert MAX_DOCUMENT_BYTES < MAX_MESSAGE_BYTES
    assert len(encode_message(Roots(id=1, digest="x" * 64, pem="x" * 128 * 1024))) < MAX_MESSAGE_BYTES


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
        (b'{"type":"pushsysinfo","id":7,"info":{}}', "invalid-message", 7),
        (b'{"type":"pushsysinfo","id":0,"info":{}}', "invalid-message", None),
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
        (b'{"type":"pushsysinfo","id":7,"info":{}}', r"missing required field `unitID` - at `\$.info`"),
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
