# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl profiles`: profiles and priority profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .keyboard import ctl, ctl_json, ctl_refused

if TYPE_CHECKING:
    from tests.support.process import ServerProcess


def test_life_of_a_profile(server: ServerProcess) -> None:
    """Created, set, unset, renamed, assigned at a position, taken back, deleted."""
    ctl(server, "profiles", "create", "kiosk", "x.title=Kiosk", "x.full=true")
    ctl(server, "profiles", "create", "rule", "--priority")
    ctl(server, "profiles", "set", "kiosk", "x.title=a=b", "--when", "reboot")
    ctl(server, "profiles", "unset", "kiosk", "x.full")
    ctl(server, "profiles", "rename", "kiosk", "desk")
    assert "0 devices are" in ctl(server, "profiles", "assign", "rule", "/")
    ctl(server, "profiles", "assign", "desk", "/", "--position", "1")
    shown = ctl_json(server, "profile", "profiles", "show", "desk")
    receivers = ctl_json(server, "assignments", "profiles", "receivers", "desk")
    of_root = ctl_json(server, "assignments", "settings", "assigned", "/")

    assert ({"x.title": "a=b"}, 1) == (shown["settings"], shown["receivers"])
    assert [("/", 1)] == [(one["receiver"], one["position"]) for one in receivers]
    assert ["desk", "rule"] == [one["object"] for one in of_root]
    assert "priority" in ctl(server, "profiles", "list")
    assert "a=b" in ctl(server, "profiles", "show", "desk")
    ctl(server, "profiles", "unassign", "desk", "/")
    assert "is not assigned" in ctl_refused(server, "profiles", "unassign", "desk", "/")
    ctl(server, "profiles", "delete", "desk")
    assert ["rule"] == [one["name"] for one in ctl_json(server, "profiles", "profiles", "list")]
    assert "NAME=VALUE" in ctl_refused(server, "profiles", "set", "rule", "x")
