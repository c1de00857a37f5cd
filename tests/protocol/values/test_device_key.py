# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.values.device_key."""

from __future__ import annotations

import pytest

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.device_key import DeviceKey, parse_device_key

TEXT = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


def test_there_and_back() -> None:
    """32 bytes in base64."""
    assert TEXT == DeviceKey(bytes(range(32))).text
    assert DeviceKey(bytes(range(32))) == parse_device_key(TEXT)


def test_it_is_not_shown() -> None:
    """A log of whatever holds a key does not hold the key."""
    assert "DeviceKey()" == repr(parse_device_key(TEXT))


@pytest.mark.parametrize("text", ["", "ü", "AA==", TEXT[:-1], TEXT + "\n", TEXT.replace("A", "-"), f"{TEXT}{TEXT}"])
def test_anything_else(text: str) -> None:
    """It is refused, and not repeated in the message."""
    with pytest.raises(InvalidValueError) as refused:
        parse_device_key(text)

    assert not text or text not in str(refused.value)
