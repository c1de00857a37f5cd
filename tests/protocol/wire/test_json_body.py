# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.wire.json_body."""

from __future__ import annotations

import msgspec
import pytest

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.wire.json_body import read_json


class Note(msgspec.Struct):
    """What is read here."""

    text: str


def test_up_to_so_many_bytes() -> None:
    """One more is too many, whatever they say."""
    assert "a" == read_json(b'{"text":"a"}', Note, max_bytes=12, what="note").text
    with pytest.raises(InvalidValueError, match="a note message has at most 11 bytes"):
        read_json(b'{"text":"a"}', Note, max_bytes=11, what="note")


@pytest.mark.parametrize("body", [b"", b"[]", b'{"text":1}', b'{"text":"\xff"}', b"[" * 90_000])
def test_what_is_none(body: bytes) -> None:
    """Is told in a sentence."""
    with pytest.raises(InvalidValueError, match="this is no note message: "):
        read_json(body, Note, max_bytes=100_000, what="note")
