# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl attributes` and `umslab ctl devices attribute`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .terminal import IDS, ctl, ctl_json, ctl_refused, import_devices

if TYPE_CHECKING:
    from tests.support.process import ServerProcess


def test_attributes(server: ServerProcess) -> None:
    """Define, list, write, refuse, delete."""
    import_devices(server)
    assert "no device attributes" in ctl(server, "attributes", "list")
    ctl(server, "attributes", "create", "floor", "--type", "range", "--allow", "ground", "--allow", "first")
    ctl(server, "attributes", "create", "asset", "--by", "device")
    written = ctl_json(server, "attributes", "devices", "attribute", IDS[0], "floor=first")
    refused = ctl_refused(server, "devices", "attribute", IDS[0], "asset=1")
    listed = ctl_json(server, "attributes", "attributes", "list")

    assert {"floor": "first"} == written
    assert "is written by: device" in refused
    assert ["floor", "asset"] == [one["identifier"] for one in listed]
    assert "ground, first" in ctl(server, "attributes", "list")
    assert "floor  first" in ctl(server, "devices", "attribute", IDS[0], "floor=first")
    assert "1 devices had a value" in ctl(server, "attributes", "delete", "floor")
    ctl(server, "attributes", "delete", "asset")
