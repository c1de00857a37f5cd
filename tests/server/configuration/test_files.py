# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.configuration.files."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from tests.server.parts import gather, unit_id
from umslab_server.configuration import files
from umslab_server.configuration.assignments import ObjectType
from umslab_server.configuration.reconcile import When
from umslab_server.errors import RefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from .plant import Plant

CONTENT = b"background"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file of this machine."""
    path = tmp_path / "b.png"
    path.write_bytes(CONTENT)
    return path


def kept(plant: Plant) -> list[str]:
    """The contents in the state folder."""
    return sorted(path.name for path in (plant.path / "files").iterdir())


async def test_life_of_a_file(plant: Plant, source: Path) -> None:
    """Taken in privately, ordered, handed out to whom it is assigned, forgotten with its content."""
    thing = await plant.managed()
    await plant.files.add(source, actor="ann")
    nobody = await plant.files.content(unit_id(1), DIGEST)
    await plant.assignments.assign(ObjectType.FILE, "b.png", ["/"], actor="ann", when=When.NOW)
    by_directory = await plant.files.content(unit_id(1), DIGEST)
    await plant.assignments.unassign(ObjectType.FILE, "b.png", ["/"], actor="ann", when=When.NOW)
    await plant.assignments.assign(ObjectType.FILE, "b.png", [unit_id(1)], actor="ann", when=When.NOW)
    by_device = await plant.files.content(unit_id(1), DIGEST)
    (order,) = thing.offers[-1].files
    mode = (plant.path / "files" / DIGEST).stat().st_mode & 0o777
    (view,) = await plant.files.list_files()
    await plant.files.delete("b.png", actor="ann", when=When.NOW)

    assert (nobody, by_directory, by_device) == (None, CONTENT, CONTENT)
    assert ("b.png", DIGEST, len(CONTENT)) == (order.name, order.sha256, order.size)
    assert mode == 0o600
    assert (view.name, view.size, view.receivers) == ("b.png", len(CONTENT), 1)
    assert [] == kept(plant)
    assert [] == thing.offers[-1].files
    assert await plant.files.content(unit_id(1), DIGEST) is None
    assert await plant.files.content(unit_id(9), DIGEST) is None


async def test_one_content_two_names(plant: Plant, source: Path) -> None:
    """It is kept once, and until the last name goes."""
    for name in ("one", "two"):
        await plant.files.add(source, name, actor="ann")
    await plant.files.delete("one", actor="ann", when=When.NOW)
    still = kept(plant)
    await plant.files.delete("two", actor="ann", when=When.NOW)

    assert [DIGEST] == still
    assert [] == kept(plant)


async def test_added_while_deleted(plant: Plant, source: Path) -> None:
    """A name that comes while the last other one goes finds its content."""
    await plant.files.add(source, "one", actor="ann")
    await gather(plant.files.delete("one", actor="ann", when=When.NOW), plant.files.add(source, "two", actor="ann"))

    assert [DIGEST] == kept(plant)


async def test_swept_at_the_start(plant: Plant, source: Path) -> None:
    """What a server that was killed left there goes: contents without a name, and files that were half written."""
    await plant.files.start()  # no folder yet
    await plant.files.add(source, actor="ann")
    for name in ("0" * 64, f".{DIGEST}.0123456789abcdef.tmp"):
        (plant.path / "files" / name).write_bytes(b"x")
    (plant.path / "files" / "mine").mkdir()
    await plant.files.start()
    gone = [event.data["sha256"] for event in await plant.store.events(0) if event.kind == "file-content-removed"]

    assert [DIGEST, "mine"] == kept(plant)
    assert [f".{DIGEST}.0123456789abcdef.tmp", "0" * 64] == gone


async def test_refusals(plant: Plant, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A taken name, a bad one, no plain file, too large: told in a sentence, and nothing is left behind."""
    await plant.files.add(source, actor="ann")
    other = tmp_path / "other.png"
    other.write_bytes(b"other")
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 5)
    with pytest.raises(RefusedError, match="already"):
        await plant.files.add(other, "b.png", actor="ann")
    for path, name, why in (
        (other, "../x", "not a name"),
        (other, "-x", "not a name"),
        (other, "", "not a name"),
        (tmp_path, "x", "not a plain file"),
        (tmp_path / "x\0y", "x", "not the path of a file"),
        (tmp_path / "fifo", None, "not a plain file"),
        (source, "big", "larger than"),
    ):
        with pytest.raises(RefusedError, match=why):
            await plant.files.add(path, name, actor="ann")
    with pytest.raises(FileNotFoundError):
        await plant.files.add(tmp_path / "none", actor="ann")

    assert [DIGEST] == kept(plant)


async def test_content_that_vanished(plant: Plant, source: Path) -> None:
    """A content that somebody removed is not there; adding the file again brings it back."""
    await plant.files.add(source, actor="ann")
    await plant.assignments.assign(ObjectType.FILE, "b.png", ["/"], actor="ann", when=When.NOW)
    await plant.register(1)
    (plant.path / "files" / DIGEST).unlink()

    assert await plant.files.content(unit_id(1), DIGEST) is None
    await plant.files.add(source, "again", actor="ann")
    assert CONTENT == await plant.files.content(unit_id(1), DIGEST)
