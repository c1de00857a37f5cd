# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl views` on a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .terminal import IDS, ctl, ctl_json, ctl_refused, import_devices

if TYPE_CHECKING:
    from tests.support.process import ServerProcess


@pytest.fixture(scope="module", autouse=True)
def imported(server: ServerProcess) -> None:
    """Three devices that nobody has seen yet."""
    import_devices(server)


def test_life_of_a_view(server: ServerProcess) -> None:
    """Made, listed, shown, deleted."""
    made = ctl_json(server, "view", "views", "create", "first", "--name", "device 1", "--offline")
    listed = ctl_json(server, "views", "views", "list")
    shown = ctl_json(server, "view", "views", "show", "first")

    assert {"name": "device 1", "online": False} == made["criteria"]
    assert [made] == listed
    assert [IDS[0]] == [one["unit_id"] for one in shown["devices"]]
    assert "name: device 1, online: False" in ctl(server, "views", "list")
    assert IDS[0] in ctl(server, "views", "show", "first")
    assert "" == ctl(server, "views", "delete", "first")
    assert "no views" in ctl(server, "views", "list")


def test_every_criterion(server: ServerProcess) -> None:
    """All of them at once find nothing, and are told."""
    made = ctl_json(
        server, "view", "views", "create", "all", "--name", "a*", "--structure-tag", "b*", "--firmware", "12.*",
        "--onboarded-by", "*@example.com", "--dir", "/", "--online", "--config-changes", "PENDING",
        "--not-seen-for", "30", "--app", "vdi",
    )  # fmt: skip

    assert 9 == len(made["criteria"])
    assert "no devices" in ctl(server, "views", "show", "all")


def test_refused(server: ServerProcess) -> None:
    """Each in one line."""
    assert "at least one criterion" in ctl_refused(server, "views", "create", "empty")
    assert "there is no directory" in ctl_refused(server, "views", "create", "x", "--dir", "/nowhere")
    assert "there is no view" in ctl_refused(server, "views", "show", "x")
    assert "there is no view" in ctl_refused(server, "views", "delete", "x")
