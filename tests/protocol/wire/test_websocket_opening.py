# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.wire.websocket_opening."""

from __future__ import annotations

import base64

import pytest

from umslab_protocol.errors import RemoteProtocolError
from umslab_protocol.wire.websocket_opening import (
    OpeningRefused,
    accept_value,
    answer_opening,
    check_answer,
    opening_request,
)

# The example of RFC 6455 section 1.3.
KEY_TEXT = "dGhlIHNhbXBsZSBub25jZQ=="
KEY = base64.b64decode(KEY_TEXT)
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

Headers = list[tuple[str, str]]

REQUEST: Headers = [
    ("upgrade", "websocket"),
    ("connection", "Upgrade"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", KEY_TEXT),
]
ANSWER: Headers = [("upgrade", "websocket"), ("connection", "Upgrade"), ("sec-websocket-accept", ACCEPT)]


def lower(headers: Headers) -> Headers:
    """Headers as the HTTP machine hands them over."""
    return [(name.lower(), value) for name, value in headers]


def changed(headers: Headers, name: str, *values: str) -> Headers:
    """Return the headers with these values for one name: none drops it, two repeat it."""
    return [pair for pair in headers if pair[0] != name] + [(name, value) for value in values]


def test_the_example_of_the_rfc() -> None:
    """RFC 6455 section 1.3."""
    assert ACCEPT == accept_value(KEY_TEXT)


def test_both_sides_fit() -> None:
    """What one side asks the other answers, and the first accepts it."""
    request = opening_request(KEY, ("b", "a"))
    answer = answer_opening(lower(request), ("a", "b"))

    assert "b" == check_answer(lower(answer), KEY, ("b", "a"))


def test_request_headers() -> None:
    """Without subprotocols the header is left out."""
    assert lower(opening_request(KEY)) == REQUEST
    assert ("Sec-WebSocket-Protocol", "one, two") == opening_request(KEY, ("one", "two"))[-1]


def test_answer_headers() -> None:
    """Exactly what the standard asks for; no extension, also when some are offered."""
    offered = [*REQUEST, ("sec-websocket-extensions", "permessage-deflate")]

    assert ANSWER == lower(answer_opening(offered, ()))


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["new, old"], "new"),
        (["old, new"], "old"),
        (["other", "old"], "old"),
        ([" ,, old ,"], "old"),
        (["OLD"], None),
        (["other"], None),
        ([""], None),
        ([], None),
    ],
)
def test_choice_of_the_subprotocol(offered: list[str], chosen: str | None) -> None:
    """The client's first that we know, compared with case; none when there is none in common."""
    answer = dict(answer_opening(changed(REQUEST, "sec-websocket-protocol", *offered), ("new", "old")))

    assert chosen == answer.get("Sec-WebSocket-Protocol")


@pytest.mark.parametrize(
    ("name", "value"),
    [("upgrade", "h2c, WebSocket"), ("connection", "keep-alive, UPGRADE"), ("sec-websocket-key", f" {KEY_TEXT} ")],
)
def test_request_in_other_spellings(name: str, value: str) -> None:
    """Lists, case and blanks as HTTP allows them."""
    assert ANSWER == lower(answer_opening(changed(REQUEST, name, value), ()))


@pytest.mark.parametrize(
    ("name", "values"), [("upgrade", []), ("upgrade", ["h2c"]), ("connection", ["close"]), ("connection", [])]
)
def test_a_plain_request(name: str, values: list[str]) -> None:
    """426 says what would be understood."""
    with pytest.raises(OpeningRefused, match="opened as a WebSocket") as caught:
        answer_opening(changed(REQUEST, name, *values), ())

    assert (426, [("Upgrade", "websocket")]) == (caught.value.status, caught.value.headers)


@pytest.mark.parametrize("values", [[], ["8"], ["13", "13"], ["13, 8"]])
def test_another_version(values: list[str]) -> None:
    """426 names the version that would be understood (RFC 6455 section 4.4)."""
    with pytest.raises(OpeningRefused, match="version 13") as caught:
        answer_opening(changed(REQUEST, "sec-websocket-version", *values), ())

    assert (426, [("Sec-WebSocket-Version", "13")]) == (caught.value.status, caught.value.headers)


@pytest.mark.parametrize(
    "values",
    [
        [],
        [""],
        ["short"],
        [base64.b64encode(bytes(15)).decode()],
        [base64.b64encode(bytes(17)).decode()],
        [KEY_TEXT[:-1]],
        [KEY_TEXT.replace("G", "!")],
        [f"{KEY_TEXT}!"],
        ["é" * 24],
        [KEY_TEXT, KEY_TEXT],
    ],
)
def test_a_bad_key(values: list[str]) -> None:
    """400, and no headers of ours."""
    with pytest.raises(OpeningRefused, match="Sec-WebSocket-Key is missing or not 16 bytes in base64") as caught:
        answer_opening(changed(REQUEST, "sec-websocket-key", *values), ())

    assert (400, []) == (caught.value.status, caught.value.headers)
    assert str(caught.value) == caught.value.reason


def test_the_only_one_offered_is_chosen() -> None:
    """The usual case: one offered, the same one chosen."""
    assert "ours" == check_answer([*ANSWER, ("sec-websocket-protocol", " ours ")], KEY, ("ours",))


def test_an_answer_without_a_subprotocol() -> None:
    """A server that knows none of ours may still agree (RFC 6455 section 4.1)."""
    assert None is check_answer(ANSWER, KEY, ("ours",))


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("upgrade", [], "does not name websocket"),
        ("upgrade", ["h2c"], "does not name websocket"),
        ("connection", ["close"], "does not name websocket"),
        ("sec-websocket-accept", [], "does not fit our key"),
        ("sec-websocket-accept", [ACCEPT.lower()], "does not fit our key"),
        ("sec-websocket-accept", ["\u20ac"], "does not fit our key"),
        ("sec-websocket-accept", [ACCEPT, ACCEPT], "does not fit our key"),
        ("sec-websocket-extensions", ["permessage-deflate"], "an extension nobody offered"),
        ("sec-websocket-protocol", ["theirs"], "a subprotocol nobody offered"),
        ("sec-websocket-protocol", [""], "a subprotocol nobody offered"),
        ("sec-websocket-protocol", ["ours", "ours"], "a subprotocol nobody offered"),
        ("sec-websocket-protocol", ["ours", "theirs"], "a subprotocol nobody offered"),
    ],
)
def test_a_bad_answer(name: str, values: list[str], message: str) -> None:
    """A server that did not understand what it agreed to is the peer's fault, with one code."""
    with pytest.raises(RemoteProtocolError, match=message) as caught:
        check_answer(changed(ANSWER, name, *values), KEY, ("ours",))

    assert "bad-upgrade" == caught.value.code
