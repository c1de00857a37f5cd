# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.wire.registration_token."""

from __future__ import annotations

import pytest

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.est_address import EstAddress
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.values.unit_id import UnitId
from umslab_protocol.wire.registration_token import read_answer, read_request, write_answer, write_request


def test_both_ways() -> None:
    """What one side writes the other reads."""
    assert "020000000001" == read_request(write_request(UnitId("020000000001")))
    assert ("secret", None) == read_answer(write_answer("secret", 300.0))
    where = EstAddress(HostPort("enrol.lab", 443), "/est")
    assert ("secret", where) == read_answer(write_answer("secret", 300.0, str(where)))


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"unitID": 1}', b'{"unitID": "x"}', b"\xff", b" " * 2000])
def test_bad_requests(body: bytes) -> None:
    """Anything else is refused."""
    with pytest.raises(InvalidValueError):
        read_request(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"token": "a b", "expiresIn": 1}',
        b'{"token": "ab"}',
        b'{"token": "ab", "expiresIn": -1}',
        b'{"token": "ab", "expiresIn": 1, "enrolment": "no address"}',
    ],
)
def test_bad_answers(body: bytes) -> None:
    """A token that is no key is refused."""
    with pytest.raises(InvalidValueError):
        read_answer(body)
