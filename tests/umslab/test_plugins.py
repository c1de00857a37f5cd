# SPDX-License-Identifier: Apache-2.0
"""Codecs and authentication are found by name."""

from __future__ import annotations

import pytest

from umslab.plugins import load
from umslab.settings import SettingsError
from umslab_protocol.wire.codec import ENTRY_POINT_GROUP, JsonCodec
from umslab_server.front.est import AUTHENTICATION_GROUP, BasicAuthentication


def test_ours_are_registered() -> None:
    """The entry points of the distribution work."""
    assert isinstance(load(ENTRY_POINT_GROUP, "json"), JsonCodec)
    assert isinstance(load(AUTHENTICATION_GROUP, "basic"), BasicAuthentication)


def test_an_unknown_name_lists_the_known_ones() -> None:
    """The message says what there is."""
    with pytest.raises(SettingsError, match=r"'xml'.*json"):
        load(ENTRY_POINT_GROUP, "xml")
