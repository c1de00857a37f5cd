# SPDX-License-Identifier: Apache-2.0
"""What the devices of a fleet keep between runs: all of them in one SQLite file, which several processes share.

A run reads what it knows of its devices once, and writes what changes in the background, a second's worth at a time:
a run that is killed loses at most that, and its devices come on board anew.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import trio

from umslab_certs.files import make_private_folder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FILE = "fleet.sqlite"
VERSION = 1
WRITE_SECONDS = 1.0
_WAIT_SECONDS = 30.0
"""For another process of the fleet that is writing."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS piece (
    unit_id TEXT NOT NULL, name TEXT NOT NULL, content BLOB NOT NULL, PRIMARY KEY (unit_id, name)
) WITHOUT ROWID
"""


class FleetStateError(Exception):
    """The file cannot be used; the message names it and says what to do."""


class FleetState:
    """The pieces of all devices of a fleet."""

    def __init__(self, folder: Path) -> None:
        """Open the file in this folder, made when it is missing. Raises `FleetStateError`."""
        self._file = folder / FILE
        self._lock = threading.Lock()
        self._changes: dict[tuple[str, str], bytes | None] = {}
        try:
            make_private_folder(folder)
            os.close(os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            with closing(self._open()) as database:
                found = database.execute("PRAGMA user_version").fetchone()[0]
                if found not in {0, VERSION}:
                    raise FleetStateError(
                        f"{self._file} is of another umslab (version {found}): choose another --state"
                    )
                database.execute("PRAGMA journal_mode = WAL")
                database.execute(_SCHEMA)
                database.execute(f"PRAGMA user_version = {VERSION}")
        except (OSError, sqlite3.Error) as error:
            raise self._error(error) from None

    def load(self, unit_ids: Iterable[str]) -> dict[str, dict[str, bytes]]:
        """Return the pieces of these devices by unit ID and name. Raises `FleetStateError`."""
        wanted = set(unit_ids)
        found: dict[str, dict[str, bytes]] = {}
        try:
            with closing(self._open()) as database:
                for unit_id, name, content in database.execute("SELECT unit_id, name, content FROM piece"):
                    if unit_id in wanted:
                        found.setdefault(unit_id, {})[name] = bytes(content)
        except (sqlite3.Error, TypeError) as error:
            raise self._error(error) from None
        return found

    def change(self, unit_id: str, name: str, content: bytes | None) -> None:
        """Write this piece soon; None removes it."""
        with self._lock:
            self._changes[unit_id, name] = content

    def write(self) -> None:
        """Write what has changed, durably. Raises `FleetStateError`; then it is written the next time."""
        with self._lock:
            changes, self._changes = self._changes, {}
        if not changes:
            return
        kept = [(*key, content) for key, content in changes.items() if content is not None]
        gone = [key for key, content in changes.items() if content is None]
        try:
            with closing(self._open()) as database, database:
                database.executemany("INSERT OR REPLACE INTO piece VALUES (?, ?, ?)", kept)
                database.executemany("DELETE FROM piece WHERE unit_id = ? AND name = ?", gone)
        except sqlite3.Error as error:
            with self._lock:
                self._changes = changes | self._changes
            raise self._error(error) from None

    async def keep(self) -> None:
        """Write every second, until cancelled; a full disk is told at the end, by the last `write`."""
        while True:
            await trio.sleep(WRITE_SECONDS)
            try:
                await trio.to_thread.run_sync(self.write)
            except FleetStateError:
                continue

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._file, timeout=_WAIT_SECONDS)

    def _error(self, error: Exception) -> FleetStateError:
        what = error.strerror if isinstance(error, OSError) else str(error)
        return FleetStateError(
            f"{self._file} cannot be used ({what}): remove it, or choose another folder with --state"
        )
