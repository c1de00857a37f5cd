# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.folder_lock, with real processes that hold and die."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from umslab_runtime.folder_lock import FolderInUseError, hold_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HOLD = """
import pathlib, sys
from umslab_runtime.folder_lock import FolderInUseError, hold_folder
try:
    with hold_folder(pathlib.Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.read()
except FolderInUseError as error:
    print(error, flush=True)
"""


@contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that tries to hold the folder until its input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def says(process: subprocess.Popen[str]) -> str:
    """The next line of a process."""
    assert process.stdout is not None
    return process.stdout.readline().rstrip()


def test_second_process_is_refused(tmp_path: Path) -> None:
    """While one process holds the folder another one is refused, and gets it afterwards."""
    with hold_folder(tmp_path), holder(tmp_path) as other:
        assert f"{tmp_path} is in use" == says(other)
    with holder(tmp_path) as other:
        assert "held" == says(other)
        with pytest.raises(FolderInUseError, match="is in use"), hold_folder(tmp_path):
            pass


def test_second_hold_in_one_process_is_refused(tmp_path: Path) -> None:
    """A process does not take a folder twice."""
    with hold_folder(tmp_path), pytest.raises(FolderInUseError), hold_folder(tmp_path):
        pass


def test_killed_holder_holds_no_longer(tmp_path: Path) -> None:
    """The kernel drops the lock of a process that was killed."""
    with holder(tmp_path) as other:
        assert "held" == says(other)
        other.kill()
        other.wait()

        with hold_folder(tmp_path):
            pass


def test_leftovers_are_swept(tmp_path: Path) -> None:
    """Half-written files of a killed writer go; whole ones, and the lock itself, stay."""
    (tmp_path / "deep").mkdir()
    leftovers = [tmp_path / ".persona.json.x1.tmp", tmp_path / "deep" / ".identity.pem.y2.tmp"]
    kept = [tmp_path / "persona.json", tmp_path / "notes.tmp", tmp_path / "deep" / ".hidden"]
    for file in (*leftovers, *kept):
        file.write_text("x")

    with hold_folder(tmp_path):
        assert [] == [file for file in leftovers if file.exists()]
        assert [] == [file for file in kept if not file.exists()]
        assert 0o600 == (tmp_path / "lock").stat().st_mode & 0o777


def test_refused_hold_sweeps_nothing(tmp_path: Path) -> None:
    """The temporary file of the process that does hold the folder is not ours to remove."""
    with hold_folder(tmp_path):
        (tmp_path / ".persona.json.x1.tmp").write_text("being written")
        with pytest.raises(FolderInUseError), hold_folder(tmp_path):
            pass

        assert (tmp_path / ".persona.json.x1.tmp").exists()


def test_lock_is_dropped_when_the_block_fails(tmp_path: Path) -> None:
    """An error inside does not leave the folder held."""
    with pytest.raises(LookupError), hold_folder(tmp_path):
        raise LookupError
    with hold_folder(tmp_path):
        pass


def test_missing_folder_is_an_os_error(tmp_path: Path) -> None:
    """A folder that is not there cannot be held."""
    with pytest.raises(FileNotFoundError), hold_folder(tmp_path / "nowhere"):
        pass
