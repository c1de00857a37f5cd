# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl connectors`: the addresses devices connect to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .terminal import ctl, ctl_json, ctl_refused

if TYPE_CHECKING:
    from tests.support.process import ServerProcess


def test_connectors(server: ServerProcess) -> None:
    """List, add, remove; what is sent to whom is told."""
    fresh = ctl(server, "connectors", "list")
    added = ctl_json(server, "connectors", "connectors", "add", "icg", "icg.lab:9443")
    shown = ctl(server, "connectors", "list")
    removed = ctl(server, "connectors", "remove", "icg.lab:9443")

    assert "no list is sent" in fresh
    assert {"type": "icg", "host": "icg.lab", "port": 9443, "origin": "added"} in added["connectors"]
    assert "icg.lab" in shown
    assert "of 0 active devices hold this list" in shown
    assert "icg.lab" not in removed


def test_refusals(server: ServerProcess) -> None:
    """A sentence each."""
    assert "not in the list" in ctl_refused(server, "connectors", "remove", "nowhere.lab")
    assert "neither a host name" in ctl_refused(server, "connectors", "add", "ums", "no address")
