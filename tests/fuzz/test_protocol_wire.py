# SPDX-License-Identifier: Apache-2.0
"""Any bytes and texts, given to the readers of umslab_protocol.wire: a value, or the one declared error."""

from __future__ import annotations

import json
from contextlib import suppress

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.protocol.wire.instances import documents
from tests.support.schemas import check
from umslab_protocol.errors import InvalidValueError, RemoteProtocolError
from umslab_protocol.wire.basic_auth import format_basic, parse_basic
from umslab_protocol.wire.messages import MESSAGE_TYPES, UnreadableMessageError, decode_message, encode_message
from umslab_protocol.wire.transfer import Wrapping, decode_body, encode_body
from umslab_protocol.wire.websocket_opening import OpeningRefused, answer_opening, check_answer, opening_request

anything = st.text(st.characters())  # surrogates too

# EST bodies.

pieces = st.sampled_from(
    [b"-----BEGIN PKCS7-----", b"-----END PKCS7-----", b"-----", b"\n", b"\x30\x82", b"AAAA", b"="]
)
bodies = st.binary(max_size=500) | st.lists(pieces | st.binary(max_size=20), max_size=30).map(b"".join)


@settings(deadline=None, max_examples=200)
@given(bodies)
def test_decode_body(body: bytes) -> None:
    """Never more bytes come out than went in, and never another error."""
    with suppress(InvalidValueError):
        assert 0 < len(decode_body(body)) <= len(body)


@settings(deadline=None, max_examples=150)
@given(st.binary(min_size=1, max_size=500), st.sampled_from(Wrapping))
def test_bodies_both_ways(der: bytes, wrapping: Wrapping) -> None:
    """What we write we read."""
    assert der == decode_body(encode_body(der, wrapping, "PKCS7"))


# Credentials.


@settings(deadline=None, max_examples=200)
@given(anything | anything.map("Basic {}".format))
def test_parse_basic(value: str) -> None:
    """Two texts, or the declared error."""
    with suppress(InvalidValueError):
        user, password = parse_basic(value)

        assert ":" not in user
        assert len(user) + len(password) < len(value)


@settings(deadline=None, max_examples=150)
@given(st.text(st.characters(exclude_characters=":", exclude_categories=["Cs"])), st.text())
def test_credentials_both_ways(user: str, password: str) -> None:
    """Any user without a colon, any password."""
    assert (user, password) == parse_basic(format_basic(user, password))


# The opening handshake.

names = st.sampled_from(
    [
        "upgrade",
        "connection",
        "sec-websocket-version",
        "sec-websocket-key",
        "sec-websocket-accept",
        "sec-websocket-protocol",
        "sec-websocket-extensions",
    ]
)
values = anything | st.sampled_from(["websocket", "Upgrade", "13", "dGhlIHNhbXBsZSBub25jZQ==", "ours", "a, b", ","])
headers = st.lists(st.tuples(names, values), max_size=12)
GOOD = [(name.lower(), value) for name, value in opening_request(bytes(16), ["ours"])]


@settings(deadline=None, max_examples=150)
@given(headers, st.integers(0, len(GOOD)))
def test_answer_opening(extra: list[tuple[str, str]], kept: int) -> None:
    """Any headers, and a good request with some missing and others too many."""
    with suppress(OpeningRefused):
        answer = answer_opening(GOOD[:kept] + extra, ["ours"])

        assert "websocket" == dict(answer)["Upgrade"]


@settings(deadline=None, max_examples=150)
@given(headers, st.integers(0, 4))
def test_check_answer(extra: list[tuple[str, str]], kept: int) -> None:
    """A server may answer anything; what is taken is something that was offered."""
    good = [(name.lower(), value) for name, value in answer_opening(GOOD, ["ours"])]
    with suppress(RemoteProtocolError):
        assert check_answer(good[:kept] + extra, bytes(16), ["ours"]) in {None, "ours"}


# Messages.

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
known = sorted({name for kind in MESSAGE_TYPES for name in kind.__struct_fields__})
tags = st.sampled_from([kind.__struct_config__.tag for kind in MESSAGE_TYPES]) | json_values
objects = st.builds(
    lambda tag, members: {"type": tag, **members},
    tags,
    st.dictionaries(st.sampled_from(known), json_values, max_size=6),
)


def read(payload: bytes) -> None:
    """Read a payload: a message that can be written again, or the one declared error, short enough to be sent back."""
    try:
        message = decode_message(payload)
    except UnreadableMessageError as error:
        code, reason = error.code, error.reason
    else:
        code, reason = "", ""

        assert message == decode_message(encode_message(message))
        check(json.loads(encode_message(message)))

    assert code in {"", "not-json", "unknown-type", "invalid-message"}
    assert len(reason) < 500


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200))
@example(b"")
@example(b'{"type":"\xff"}')
def test_any_bytes(payload: bytes) -> None:
    """Random bytes are hardly ever JSON."""
    read(payload)


@settings(deadline=None, max_examples=120)
@given(objects | json_values)
def test_any_json(value: object) -> None:
    """Random JSON with the members that messages have."""
    read(json.dumps(value).encode())


whole_messages = st.sampled_from(MESSAGE_TYPES).flatmap(documents)


@settings(deadline=None, max_examples=120)
@given(st.builds(json.dumps, objects | whole_messages), st.integers(0, 400), st.binary(max_size=6), st.integers(0, 6))
def test_mutated_json(text: str, at: int, inserted: bytes, deleted: int) -> None:
    """A message with a few bytes changed somewhere, often inside a text."""
    payload = text.encode()
    read(payload[:at] + inserted + payload[at + deleted :])


brackets = st.sampled_from(
    [b"[", b'{"a":', b'{"type":', b'{"versions":[', b'{"info":{"x":', b"[[", b"-", b"9", b"1e", b'"']
)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([b"", b'{"type":"ack","re":1,"x":', b'{"type":"hello","versions":']), brackets, brackets)
def test_bombs(head: bytes, one: bytes, two: bytes) -> None:
    """A quarter of a megabyte of nesting or of digits, in any mixture of two."""
    read(head + (one + two) * (250_000 // len(one + two)))
