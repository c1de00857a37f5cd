# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.values.auth_key."""

from __future__ import annotations

import pytest

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.auth_key import GENERATED_KEY_DIGITS, MAX_KEY_CHARACTERS, KeyKind, parse_auth_key


@pytest.mark.parametrize("key", ["1", "12345678901234567", "Our-own-Key", "!~", "k" * MAX_KEY_CHARACTERS])
def test_accepts(key: str) -> None:
    """Printable ASCII up to the limit comes back as it was."""
    assert key == parse_auth_key(key)


@pytest.mark.parametrize(
    "key", ["", "k" * (MAX_KEY_CHARACTERS + 1), "two words", "tab\t", "end\n", "\0", "Schlüssel", "\x7f"]
)
def test_refuses(key: str) -> None:
    """Blanks, control characters, other scripts and wrong lengths are refused, and the message says what would do."""
    with pytest.raises(InvalidValueError, match="1 to 64 printable ASCII characters without spaces"):
        parse_auth_key(key)


def test_the_message_never_contains_the_key() -> None:
    """A key that was mistyped by one character is still a secret."""
    with pytest.raises(InvalidValueError) as caught:
        parse_auth_key("almost-the-right-key ")

    assert "almost" not in str(caught.value)


def test_generated_keys_fit() -> None:
    """Keys as long as the vendor's samples are valid keys (K4)."""
    assert 17 == GENERATED_KEY_DIGITS
    assert parse_auth_key("0" * GENERATED_KEY_DIGITS)


def test_kinds() -> None:
    """The three documented kinds (K1)."""
    assert ["one-time", "bound", "mass"] == list(KeyKind)
