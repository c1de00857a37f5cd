# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.state_folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from umslab_server.state_folder import StateFolder, StateFolderError


def test_paths() -> None:
    """Where everything is."""
    folder = StateFolder(Path("/state/server"))

    assert [
        path.name for path in (folder.registry, folder.web, folder.est, folder.os11, folder.about, folder.control)
    ] == [
        "registry.sqlite",
        "web",
        "est",
        "os11",
        "server.json",
        "control.sock",
    ]
    assert Path("/state/.server.restored") == folder.restored


def test_folder_is_made_private(tmp_path: Path) -> None:
    """It will hold keys."""
    folder = StateFolder(tmp_path / "a" / "server")
    with folder.locked():
        mode = folder.path.stat().st_mode & 0o777

    assert mode == 0o700


def test_second_user_is_refused(tmp_path: Path) -> None:
    """Two servers on one folder: the second is told what to do; afterwards the folder is free."""
    folder = StateFolder(tmp_path / "server")
    with folder.locked(), pytest.raises(StateFolderError, match="in use by a running server: stop it") as caught:
        folder.locked().__enter__()
    with folder.locked():
        pass

    assert str(folder.path) in str(caught.value)


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file in the way is an OSError, as the caller expects."""
    (tmp_path / "server").write_text("a file")

    with pytest.raises(OSError, match="exists"):
        StateFolder(tmp_path / "server").locked().__enter__()


def test_interrupted_restore_is_finished(tmp_path: Path) -> None:
    """Killed between the two renames of a restore: the next user finds the restored state."""
    folder = StateFolder(tmp_path / "server")
    folder.restored.mkdir()
    (folder.restored / "proof").write_text("restored")
    with folder.locked():
        found = (folder.path / "proof").read_text()

    assert found == "restored"
    assert not folder.restored.exists()


def test_restore_that_never_took_effect_is_forgotten(tmp_path: Path) -> None:
    """Killed before the first rename: the old state stays, the leftover goes."""
    folder = StateFolder(tmp_path / "server")
    folder.path.mkdir()
    (folder.path / "proof").write_text("old")
    folder.restored.mkdir()
    (folder.restored / "proof").write_text("restored")
    with folder.locked():
        found = (folder.path / "proof").read_text()

    assert found == "old"
    assert not folder.restored.exists()
