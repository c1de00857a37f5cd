# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl files`: files that devices can be told to have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .keyboard import ctl, ctl_json, ctl_refused

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.process import ServerProcess


def test_life_of_a_file(server: ServerProcess, tmp_path: Path) -> None:
    """Added under a name, assigned, taken back, forgotten."""
    source = tmp_path / "wallpaper.png"
    source.write_bytes(b"x" * 1000)
    ctl(server, "files", "add", str(source), "--name", "background.png")
    ctl(server, "files", "assign", "background.png", "/")
    (shown,) = ctl_json(server, "files", "files", "list")

    assert ("background.png", 1000, 1) == (shown["name"], shown["size"], shown["receivers"])
    assert shown["sha256"] in ctl(server, "files", "list")
    assert "already" in ctl_refused(server, "files", "add", str(source), "--name", "background.png")
    assert "none.png" in ctl_refused(server, "files", "add", str(tmp_path / "none.png"))
    ctl(server, "files", "unassign", "background.png", "/")
    ctl(server, "files", "delete", "background.png")
    assert "no files" in ctl(server, "files", "list")
