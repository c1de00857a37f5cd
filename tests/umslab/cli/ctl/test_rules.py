# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl rules`: default directory rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .keyboard import ctl, ctl_json, ctl_refused
from .terminal import IDS, import_devices

if TYPE_CHECKING:
    from tests.support.process import ServerProcess


def test_rules(server: ServerProcess) -> None:
    """Created with criteria and options, refined, edited, put in order, tried, deleted."""
    import_devices(server)
    ctl(server, "dirs", "create", "/Hall 1")
    first = ctl(server, "rules", "create", "hall 1", "--tag", "hall-1", "--dir", "/Hall 1").split()[1]
    second = ctl(server, "rules", "create", "rest", "--at-boot", "--override").split()[1]
    ctl(server, "rules", "create", "office", "--parent", first, "--ip", "10.0.0.0/8", "--user", "*@example.com")
    ctl(server, "rules", "edit", second, "--name", "all", "--dir", "/Hall 1", "--no-override")
    ctl(server, "rules", "move", second, "1")
    listed = ctl_json(server, "rules", "rules", "list")
    text = ctl(server, "rules", "list")
    tried = ctl_json(server, "test", "rules", "test", IDS[0])

    assert [("all", 0), ("hall 1", 0), ("office", 1)] == [(one["name"], one["depth"]) for one in listed]
    assert ("/Hall 1", False, True) == tuple(listed[0][key] for key in ("directory", "override", "at_boot"))
    assert "ip range 10.0.0.0/8, user *@example.com" in text
    assert ("/Hall 1", "rule all fits") == (tried["target"], tried["because"])
    assert "moves to /Hall 1" in ctl(server, "rules", "test", IDS[0])
    ctl(server, "rules", "edit", second, "--nowhere")
    assert "stays" in ctl(server, "rules", "test", IDS[0])
    assert "default directory rule" in ctl_refused(server, "dirs", "delete", "/Hall 1")
    for number in (first, second):
        ctl(server, "rules", "delete", number)
    assert "no rules" in ctl(server, "rules", "list")
    assert "exclude" in ctl_refused(server, "rules", "edit", first, "--nowhere", "--dir", "/")
