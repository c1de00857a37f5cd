# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.wire.load_proof."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.wire.load_proof import read_answer, read_request, statement, write_answer, write_request

NONCE = bytes(range(32))


def test_both_ways() -> None:
    """What one side writes the other reads."""
    assert NONCE == read_request(write_request(NONCE))
    assert b"signature" == read_answer(write_answer(b"signature"))


def test_the_statement_has_its_own_beginning_and_length() -> None:
    """No handshake of TLS signs anything that begins or ends like it: 1.3 begins with 64 spaces, 1.2 is longer."""
    signed = statement(NONCE, b"d" * 32)

    assert b"umslab load proof 1\n" + NONCE + b"d" * 32 == signed
    for nonce, digest in ((b"", b"d" * 32), (NONCE, b"d"), (NONCE + b"x", b"d" * 32)):
        with pytest.raises(InvalidValueError):
            statement(nonce, digest)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"nonce": 1}', b'{"nonce": "AB"}', b'{"nonce": "' + b"G" * 64 + b'"}', b" " * 5000]
)
def test_bad_requests(body: bytes) -> None:
    """Anything else is refused."""
    with pytest.raises(InvalidValueError):
        read_request(body)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"signature": 1}', b'{"signature": "!"}', b'{"signature": "' + b"A" * 2000 + b'"}']
)
def test_bad_answers(body: bytes) -> None:
    """Likewise."""
    with pytest.raises(InvalidValueError):
        read_answer(body)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=5000))
def test_any_bytes(body: bytes) -> None:
    """A value, or the one declared error."""
    with suppress(InvalidValueError):
        assert 32 == len(read_request(body))
    with suppress(InvalidValueError):
        assert 1024 >= len(read_answer(body))
