# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.wire.basic_auth."""

from __future__ import annotations

import base64

import pytest

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.wire.basic_auth import CHALLENGE, format_basic, parse_basic

# (header, user, password): the first two are the examples of RFC 7617, sections 2 and 2.1.
EXAMPLES = [
    ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame"),
    ("Basic dGVzdDoxMjPCow==", "test", "123£"),
    ("Basic OjE6Mg==", "", "1:2"),
    ("Basic Og==", "", ""),
]


@pytest.mark.parametrize(("header", "user", "password"), EXAMPLES)
def test_both_ways(header: str, user: str, password: str) -> None:
    """Only the first colon divides."""
    assert header == format_basic(user, password)
    assert (user, password) == parse_basic(header)


@pytest.mark.parametrize("header", ["basic OjEyMzQ=", "BASIC OjEyMzQ=", "  Basic   OjEyMzQ=  "])
def test_scheme_and_blanks_are_forgiven(header: str) -> None:
    """The scheme is compared without case (RFC 9110 section 11.1)."""
    assert ("", "1234") == parse_basic(header)


@pytest.mark.parametrize("header", ["", "Bearer OjEyMzQ=", "OjEyMzQ=", "Basic\tOjEyMzQ=", "Basics OjEyMzQ="])
def test_another_scheme(header: str) -> None:
    """Only Basic is taken."""
    with pytest.raises(InvalidValueError, match="does not use the Basic scheme"):
        parse_basic(header)


@pytest.mark.parametrize(
    "token", ["OjEyMzQ", "Oj!yMzQ=", "Oj=yMzQ=", "OjEyMzQ= OjEyMzQ=", "é", base64.b64encode(b":\xff").decode()]
)
def test_not_base64_of_utf8(token: str) -> None:
    """Base64 is read strictly, and what is in it must be text."""
    with pytest.raises(InvalidValueError, match="not base64 of UTF-8 text"):
        parse_basic(f"Basic {token}")


@pytest.mark.parametrize("token", ["", base64.b64encode(b"no divider").decode()])
def test_no_colon(token: str) -> None:
    """A user name alone is no credential."""
    with pytest.raises(InvalidValueError, match="no colon between user and password"):
        parse_basic(f"Basic {token}")


def test_errors_never_repeat_the_value() -> None:
    """A key in a broken header does not reach a log."""
    token = base64.b64encode(b"secret without divider").decode()
    with pytest.raises(InvalidValueError) as caught:
        parse_basic(f"Basic {token}")

    assert token not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_challenge() -> None:
    """What a 401 asks for; the charset is the one that RFC 7617 section 2.1 allows."""
    assert 'Basic realm="umslab enrolment", charset="UTF-8"' == CHALLENGE
