# SPDX-License-Identifier: Apache-2.0
"""What devices keep between runs comes back, is private, is shared by processes, and damage is told."""

from __future__ import annotations

import sqlite3
import stat
from typing import TYPE_CHECKING

import pytest
import trio

from umslab.fleet.state import FILE, WRITE_SECONDS, FleetState, FleetStateError

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


def test_pieces_come_back(tmp_path: Path) -> None:
    """Of the devices asked for; the last content counts, what was removed is gone."""
    state = FleetState(tmp_path / "new" / "folder")
    state.change("02AA", "identity.pem", b"old")
    state.change("02AA", "identity.pem", b"\x00new")
    state.change("02AA", "request.pem", b"r")
    state.change("02BB", "identity.pem", b"b")
    state.write()
    state.change("02AA", "request.pem", None)
    state.write()
    state.write()

    assert {"02AA": {"identity.pem": b"\x00new"}} == FleetState(tmp_path / "new" / "folder").load(["02AA", "02CC"])


def test_it_is_private(tmp_path: Path) -> None:
    """It holds private keys."""
    FleetState(tmp_path / "state")

    assert 0o700 == stat.S_IMODE((tmp_path / "state").stat().st_mode)
    assert {0o600} == {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "state").iterdir()}


def test_two_share_it(tmp_path: Path) -> None:
    """Shards in two processes write their own devices."""
    one, other = FleetState(tmp_path), FleetState(tmp_path)
    one.change("02AA", "a", b"1")
    other.change("02BB", "a", b"2")
    one.write()
    other.write()

    assert {"02AA": {"a": b"1"}, "02BB": {"a": b"2"}} == one.load(["02AA", "02BB"])


async def test_it_writes_by_itself(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A second after a change at the latest; what a full disk refused is written when there is room again."""
    state = FleetState(tmp_path)
    state.change("02AA", "a", b"1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(state.keep)
        file = tmp_path / FILE
        with sqlite3.connect(file) as holder:
            holder.execute("DROP TABLE piece")
        holder.close()
        await trio.sleep(WRITE_SECONDS * 1.5)
        assert {} == FleetState(tmp_path).load(["02AA"])  # which makes the table again
        await trio.sleep(WRITE_SECONDS * 3)
        nursery.cancel_scope.cancel()

    assert {"02AA": {"a": b"1"}} == state.load(["02AA"])


@pytest.mark.parametrize("content", [b"nonsense" * 1000, b"SQLite format 3\x00" + b"\x00" * 5000])
def test_damage_is_told(tmp_path: Path, content: bytes) -> None:
    """With what to do about it."""
    (tmp_path / FILE).write_bytes(content)

    with pytest.raises(FleetStateError, match="--state"):
        FleetState(tmp_path).load(["02AA"])


def test_another_version_is_refused(tmp_path: Path) -> None:
    """It may mean anything."""
    FleetState(tmp_path)
    with sqlite3.connect(tmp_path / FILE) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()

    with pytest.raises(FleetStateError, match="version 99"):
        FleetState(tmp_path)


def test_a_place_that_is_none(tmp_path: Path) -> None:
    """A file where the folder is to be."""
    (tmp_path / "file").touch()

    with pytest.raises(FleetStateError, match="cannot be used"):
        FleetState(tmp_path / "file")
