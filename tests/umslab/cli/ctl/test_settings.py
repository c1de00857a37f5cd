# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl settings`: what devices are to have, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .keyboard import ctl, ctl_json, ctl_refused
from .terminal import IDS, import_devices

if TYPE_CHECKING:
    from tests.support.process import ServerProcess


def test_where_values_come_from(server: ServerProcess) -> None:
    """The global value, and the profile over it."""
    import_devices(server)
    ctl(server, "settings", "global", "set", "a=0", "b=0")
    ctl(server, "settings", "global", "unset", "b")
    ctl(server, "profiles", "create", "own", "a=1")
    ctl(server, "profiles", "assign", "own", IDS[0])
    ctl(server, "apps", "create", "chromium", "1")
    ctl(server, "apps", "assign", "chromium", "/")
    shown = ctl_json(server, "settings", "settings", "show", IDS[0])
    text = ctl(server, "settings", "show", IDS[0])

    assert [("a", "1", "own", IDS[0], ["global at global"])] == [
        (one["name"], one["value"], one["profile"], one["receiver"], one["overrides"]) for one in shown["settings"]
    ]
    assert "global at global" in text
    assert "chromium" in text
    assert {"a": "0"} == ctl_json(server, "profile", "settings", "global", "show")["settings"]


def test_sending(server: ServerProcess) -> None:
    """Devices are chosen as everywhere; what nothing is kept for stays."""
    import_devices(server)
    for arguments in ([IDS[0]], ["--dir", "/"], ["--all"]):
        assert "0 devices get now" in ctl(server, "settings", "send", *arguments)
    assert "which devices?" in ctl_refused(server, "settings", "send")
    assert "only one of" in ctl_refused(server, "settings", "send", "--dir", "/", "--all")
