# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.device_states."""

from __future__ import annotations

from typing import Any

import pytest

from umslab_server.device_states import icon, overlays


@pytest.mark.parametrize(
    ("state", "colour"),
    [("online", "green"), ("offline", "red"), ("unknown", "grey"), ("never-registered", "grey"), ("in-bin", "grey")],
)
def test_colours(state: str, colour: str) -> None:
    """Green, red, and grey for what nobody knows (8.1)."""
    assert colour == icon(state)


def _row(**changes: Any) -> Any:
    return {"is_updating": 0, "is_logged_on": 0, "last_user": "", "licences": "[]"} | changes


@pytest.mark.parametrize(
    ("state", "changes", "shown"),
    [
        ("online", {}, []),
        ("online", {"is_updating": 1}, ["updating"]),
        ("offline", {"is_updating": 1}, []),
        ("online", {"last_user": "ann"}, ["login-screen"]),
        ("online", {"last_user": "ann", "is_logged_on": 1}, []),
        ("unknown", {"last_user": "ann"}, []),
        ("offline", {"licences": '[{"name":"a","state":"missing"}]'}, ["no-licence"]),
        ("online", {"licences": '[{"name":"a","state":"expired"},{"name":"b","state":"valid"}]'}, []),
    ],
)
def test_overlays(state: str, changes: dict[str, Any], shown: list[str]) -> None:
    """Each for what is known: of a device that is not there nobody knows what it does, but what it lacks."""
    assert shown == overlays(_row(**changes), state, pending=False)


def test_settings_that_wait() -> None:
    """An exclamation mark while settings are not transferred; a device that never registered has no settings."""
    assert ["exclamation", "updating"] == overlays(_row(is_updating=1), "online", pending=True)
    assert ["never-registered"] == overlays(_row(), "never-registered", pending=True)
