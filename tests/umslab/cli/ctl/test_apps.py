# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl apps`: apps that devices can be told to have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .keyboard import ctl, ctl_json, ctl_refused

if TYPE_CHECKING:
    from tests.support.process import ServerProcess


def test_life_of_an_app(server: ServerProcess) -> None:
    """Two versions, one assigned, both forgotten."""
    for version in ("1", "2"):
        ctl(server, "apps", "create", "chromium", version)
    ctl(server, "apps", "assign", "chromium@2", "/")

    assert [("1", 0), ("2", 1)] == [
        (one["version"], one["receivers"]) for one in ctl_json(server, "apps", "apps", "list")
    ]
    assert "chromium" in ctl(server, "apps", "list")
    assert "chromium 2" in ctl(server, "apps", "receivers", "chromium@2")
    assert "several versions" in ctl_refused(server, "apps", "delete", "chromium")
    for version in ("1", "2"):
        ctl(server, "apps", "delete", f"chromium@{version}")
    assert "no apps" in ctl(server, "apps", "list")
