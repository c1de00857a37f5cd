# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl dirs`: the tree of device directories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .keyboard import ctl, ctl_json, ctl_refused
from .terminal import IDS, import_devices

if TYPE_CHECKING:
    from tests.support.process import ServerProcess


def test_the_tree(server: ServerProcess) -> None:
    """Created, renamed, moved, filled, emptied, deleted; named by path everywhere."""
    import_devices(server)
    ctl(server, "dirs", "create", "/Bremen/Ofice")
    ctl(server, "dirs", "create", "/Hamburg")
    ctl(server, "dirs", "rename", "/Bremen/Ofice", "Office")
    assert "0 devices are" in ctl(server, "dirs", "move", "/Bremen/Office", "/Hamburg")
    ctl(server, "dirs", "move-devices", "/Hamburg/Office", IDS[0], IDS[1])
    directories = {one["path"]: one["devices_below"] for one in ctl_json(server, "directories", "dirs", "list")}
    listed = ctl(server, "dirs", "list")
    of_hamburg = [one["unit_id"] for one in ctl_json(server, "devices", "devices", "list", "--dir", "/Hamburg")]

    assert {"/Bremen": 0, "/Hamburg": 2, "/Hamburg/Office": 2} == {k: v for k, v in directories.items() if k != "/"}
    assert "/Hamburg/Office" in listed
    assert [IDS[0], IDS[1]] == of_hamburg
    assert "/Hamburg/Office" == ctl_json(server, "device", "devices", "show", IDS[0])["directory"]
    assert "devices in it" in ctl_refused(server, "dirs", "delete", "/Hamburg/Office")
    ctl(server, "dirs", "move-devices", "/", IDS[0], IDS[1])
    ctl(server, "dirs", "delete", "/Hamburg/Office")
    assert "no directory '/Hamburg/Office'" in ctl_refused(server, "dirs", "delete", "/Hamburg/Office")
    assert "into itself" in ctl_refused(server, "dirs", "move", "/Hamburg", "/Hamburg")
