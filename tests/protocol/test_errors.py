# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.errors."""

from __future__ import annotations

import pytest

from umslab_protocol.errors import InvalidValueError, LocalProtocolError, ProtocolError, RemoteProtocolError


@pytest.mark.parametrize("kind", [LocalProtocolError, RemoteProtocolError, InvalidValueError])
def test_one_tree(kind: type[ProtocolError]) -> None:
    """Whoever catches the base catches all."""
    assert issubclass(kind, ProtocolError)


def test_branches_are_apart() -> None:
    """Our bugs and the peer's are never caught by the same clause, unless by the base."""
    assert not issubclass(LocalProtocolError, RemoteProtocolError)
    assert not issubclass(RemoteProtocolError, LocalProtocolError)


def test_an_invalid_value_is_a_value_error() -> None:
    """Command-line parsers that know only ValueError take it."""
    assert issubclass(InvalidValueError, ValueError)


def test_remote_error_carries_reason_and_code() -> None:
    """The text is for people, the code for programs; the code has a default."""
    plain = RemoteProtocolError("what happened")
    coded = RemoteProtocolError("what happened", code="too-large")

    assert ("what happened", "protocol-error", "what happened") == (plain.reason, plain.code, str(plain))
    assert "too-large" == coded.code
