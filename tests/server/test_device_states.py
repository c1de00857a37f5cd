# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.device_states."""

from __future__ import annotations

import pytest

from umslab_server.device_states import icon, overlays


@pytest.mark.parametrize(
    ("state", "colour"),
    [("online", "green"), ("offline", "red"), ("unknown", "grey"), ("never-registered", "grey"), ("in-bin", "grey")],
)
def test_colours(state: str, colour: str) -> None:
    """Green, red, and grey for what nobody knows (8.1)."""
    assert colour == icon(state)


def test_overlays() -> None:
    """An exclamation mark while settings are not transferred; a device that never registered has no settings."""
    assert ["exclamation"] == overlays("online", pending=True)
    assert [] == overlays("offline", pending=False)
    assert ["never-registered"] == overlays("never-registered", pending=True)
