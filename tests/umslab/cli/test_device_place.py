# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab.cli.device_place; what cannot be a place is told in test_device.py."""

from __future__ import annotations

import pytest

from umslab import exit_codes
from umslab.cli.device_place import place_on_the_link
from umslab.cli.output import UserError
from umslab_agent.discovery import DEFAULT_SOURCES, Source
from umslab_agent.nearby import Whereabouts
from umslab_agent.os11.device import Os11Settings
from umslab_certs.keys import KeyType


def test_os11_is_asked_where_it_is_called() -> None:
    """On the same address and port number; a free port cannot be known before, and the user's word comes first."""
    called = Os11Settings(key_type=KeyType.P256, listen="127.4.0.1", push_port=31005)
    anywhere = Os11Settings(key_type=KeyType.P256, push_port=0)

    assert Whereabouts(address="127.4.0.1", probe_port=31005, wake_port=None) == place_on_the_link("", "", 1, 2, called)
    assert place_on_the_link("", "", 1, 2, anywhere) is None
    assert Whereabouts(address="127.5.0.1", probe_port=1, wake_port=2) == place_on_the_link(
        "127.5.0.1", "", 1, 2, called
    )


def test_os12_has_no_place_unless_it_is_named() -> None:
    """Nobody asks it whether it is online (N10)."""
    assert place_on_the_link("", "", 1, 2, None, sources=DEFAULT_SOURCES) is None


def test_nobody_can_find_a_device_that_is_nowhere() -> None:
    """Instead of waiting for ever, or running on without that source."""
    anywhere = Os11Settings(key_type=KeyType.P256, push_port=0)
    for os11 in (None, anywhere):
        with pytest.raises(UserError, match="as in --address") as refused:
            place_on_the_link("", "", 1, 2, os11, sources=(Source.STORED, Source.SCAN))
        assert exit_codes.USAGE == refused.value.exit_code
