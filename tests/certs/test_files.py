# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_certs.files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from umslab_certs.errors import CertificateError, Fault
from umslab_certs.files import (
    make_private_folder,
    read_limited,
    refuse_overwriting,
    remove_durably,
    rename_durably,
    telling_damage,
    write_private,
)

from .pki import refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def open_umask() -> Iterator[None]:
    """A umask that hides nothing."""
    before = os.umask(0)
    yield
    os.umask(before)


def test_written_file_is_private(tmp_path: Path, open_umask: None) -> None:
    """Even without a umask the file is for its owner only, and no temporary file stays."""
    file = tmp_path / "secret.pem"

    write_private(file, b"secret")

    assert file.read_bytes() == b"secret"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_write_replaces_the_file_as_a_whole(tmp_path: Path) -> None:
    """A reader of the old file keeps the old content, and the new file is private whatever the old one was."""
    file = tmp_path / "secret.pem"
    file.write_bytes(b"old")
    file.chmod(0o644)

    with file.open("rb") as reader:
        write_private(file, b"new")

        assert reader.read() == b"old"
    assert file.read_bytes() == b"new"
    assert file.stat().st_mode & 0o777 == 0o600


def test_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    """When the last step fails, the temporary file goes and the target stays."""
    target = tmp_path / "target"
    target.mkdir()

    with pytest.raises(IsADirectoryError):
        write_private(target, b"secret")

    assert list(tmp_path.iterdir()) == [target]


def test_write_needs_the_folder(tmp_path: Path) -> None:
    """The folder is not made on the way: that is a decision of its own."""
    with pytest.raises(FileNotFoundError):
        write_private(tmp_path / "missing" / "file", b"secret")


def test_remove_is_quiet_about_absence(tmp_path: Path) -> None:
    """Removing twice is as good as once."""
    file = tmp_path / "old.key"
    file.write_bytes(b"x")

    remove_durably(file)
    remove_durably(file)

    assert not file.exists()


def test_folders_are_private(tmp_path: Path, open_umask: None) -> None:
    """The folder and every parent made for it are closed to others."""
    make_private_folder(tmp_path / "a" / "b")

    assert [(tmp_path / part).stat().st_mode & 0o777 for part in ("a", "a/b")] == [0o700, 0o700]


def test_existing_folder_keeps_its_mode(tmp_path: Path) -> None:
    """A folder that was there before belongs to somebody else."""
    tmp_path.chmod(0o755)

    make_private_folder(tmp_path)

    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    """A file is not turned into a folder."""
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(FileExistsError):
        make_private_folder(tmp_path / "file")


def test_read_has_a_limit(tmp_path: Path) -> None:
    """A file of exactly the limit is read, one byte more is refused with its path."""
    file = tmp_path / "big.pem"
    file.write_bytes(b"12345")

    assert read_limited(file, limit=5) == b"12345"
    with refused(Fault.TOO_LARGE, str(file), "4 bytes"):
        read_limited(file, limit=4)


def test_read_names_the_missing_file(tmp_path: Path) -> None:
    """What the system says comes with the path."""
    with refused(Fault.UNREADABLE, str(tmp_path / "gone.pem"), "No such file"):
        read_limited(tmp_path / "gone.pem")
    with refused(Fault.UNREADABLE, str(tmp_path), "directory"):
        read_limited(tmp_path)


def test_renamed_in_place_of_another(tmp_path: Path) -> None:
    """The content has the new name only, whatever had that name before."""
    (tmp_path / "next").write_bytes(b"next")
    (tmp_path / "current").write_bytes(b"current")

    rename_durably(tmp_path / "next", tmp_path / "current")

    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"current": b"next"}


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A file that is there is named; one that is not is no reason to refuse."""
    refuse_overwriting(tmp_path / "web.pem")
    (tmp_path / "web.pem").touch()

    with refused(Fault.EXISTS, str(tmp_path / "web.pem"), "remove the folder"):
        refuse_overwriting(tmp_path / "web.pem")


def test_damage_is_told_with_its_folder(tmp_path: Path) -> None:
    """Once, and with what to do."""

    def find_damage(text: str) -> None:
        raise CertificateError(Fault.UNREADABLE, text)

    for text in ("it is broken", f"{tmp_path}/web.pem is broken"):
        with refused(Fault.UNREADABLE, "backup") as caught:
            with telling_damage(tmp_path):
                find_damage(text)

        assert str(caught.value).count(str(tmp_path)) == 1
