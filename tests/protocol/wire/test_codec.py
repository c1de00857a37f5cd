# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.wire.codec."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest

from umslab_protocol.wire.codec import ENTRY_POINT_GROUP, JsonCodec, SessionCodec
from umslab_protocol.wire.messages import Ack, UnreadableMessageError


def test_both_ways() -> None:
    """The codec is the format of messages.py behind the interface."""
    codec: SessionCodec = JsonCodec()

    assert b'{"type":"ack","re":7}' == codec.encode(Ack(re=7))
    assert Ack(re=7) == codec.decode(b'{"type":"ack","re":7}')


def test_errors_pass_through() -> None:
    """What cannot be read raises the one declared error."""
    with pytest.raises(UnreadableMessageError):
        JsonCodec().decode(b"")


def test_it_is_registered_like_a_plug_in() -> None:
    """Our own codec comes through the door that others would use."""
    (found,) = entry_points(group=ENTRY_POINT_GROUP, name="json")

    assert JsonCodec is found.load()
