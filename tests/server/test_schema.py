# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.schema."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Integer, create_engine, inspect, text

from umslab_protocol.values.unit_id import UnitId
from umslab_server import schema
from umslab_server.schema import SCHEMA_VERSION, SchemaError, prepare
from umslab_server.store import StoreError
from umslab_server.tables import meta, metadata

from .old_registry import ROWS, UNIT_ID, definitions, rows, write_registry_1, write_registry_2
from .parts import new_store, open_office, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Column, Connection


@pytest.fixture
def connection() -> Iterator[Connection]:
    """An empty database in memory."""
    engine = create_engine("sqlite://")
    with engine.connect() as opened:
        yield opened
    engine.dispose()


def set_version(connection: Connection, value: str) -> None:
    """Pretend that another program wrote the registry."""
    connection.execute(text("UPDATE meta SET value = :value WHERE name = 'schema_version'"), {"value": value})


def version(connection: Connection) -> object:
    """The version in the file."""
    return connection.execute(text("SELECT value FROM meta WHERE name = 'schema_version'")).scalar()


def test_empty_file_gets_all_tables(connection: Connection) -> None:
    """A new registry has every table and says its version; preparing it again changes nothing."""
    prepare(connection)
    prepare(connection)

    assert set(metadata.tables) <= set(inspect(connection).get_table_names())
    assert str(SCHEMA_VERSION) == version(connection)


def test_older_file_is_brought_up_to_date(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each migration runs once, in order, and the version follows."""
    prepare(connection)
    steps: list[int] = []
    monkeypatch.setattr(schema, "SCHEMA_VERSION", SCHEMA_VERSION + 2)
    monkeypatch.setattr(
        schema,
        "MIGRATIONS",
        {
            SCHEMA_VERSION: lambda _: steps.append(SCHEMA_VERSION),
            SCHEMA_VERSION + 1: lambda _: steps.append(SCHEMA_VERSION + 1),
        },
    )
    prepare(connection)
    prepare(connection)

    assert steps == [SCHEMA_VERSION, SCHEMA_VERSION + 1]
    assert str(SCHEMA_VERSION + 2) == version(connection)


def test_migrations_are_complete() -> None:
    """There is a step from every older version."""
    assert set(range(1, SCHEMA_VERSION)) == set(schema.MIGRATIONS)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("2000", "has schema 2000, this umslab knows"),
        ("0", "which no umslab has written"),
        ("one", "not a registry of umslab"),
        ("", "not a registry of umslab"),
        ("-1", "not a registry of umslab"),
    ],
)
def test_strange_versions(connection: Connection, value: str, reason: str) -> None:
    """What is not a version between the first and ours is refused."""
    prepare(connection)
    set_version(connection, value)

    with pytest.raises(SchemaError, match=reason):
        prepare(connection)


def test_other_programs(connection: Connection) -> None:
    """Tables without ours, and ours without its row."""
    connection.execute(text("CREATE TABLE recipe (name)"))
    with pytest.raises(SchemaError, match="not a registry of umslab"):
        prepare(connection)
    meta.create(connection)

    with pytest.raises(SchemaError, match="not a registry of umslab"):
        prepare(connection)


written = pytest.mark.parametrize("write", [write_registry_1, write_registry_2])


class TestFromOlderVersions:
    """A file of an earlier release becomes one of today, whole or not at all."""

    @written
    async def test_definitions(self, tmp_path: Path, write: Callable[[Path], None]) -> None:
        """Every table, column, default, key and index is as in a fresh file."""
        write(tmp_path / "old.sqlite")
        for name in ("old.sqlite", "fresh.sqlite"):
            async with open_store(tmp_path / name):
                pass
        old, fresh = definitions(tmp_path / "old.sqlite"), definitions(tmp_path / "fresh.sqlite")

        assert set(fresh) == set(old) == set(metadata.tables)
        for table in fresh:
            assert fresh[table] == old[table], table

    @written
    async def test_contents(self, tmp_path: Path, write: Callable[[Path], None]) -> None:
        """All that was there is there; what is new has its default, and the root directory is made once."""
        path = tmp_path / "old.sqlite"
        write(path)
        for _ in range(2):
            async with open_store(path):
                pass

        for table, row in ROWS.items():
            if table != "meta":
                (kept,) = rows(path, table)
                new = {column.name: default(column) for column in metadata.tables[table].columns if column.info}
                assert {**row, **new} == kept
        assert [("schema_version", str(SCHEMA_VERSION))] == [tuple(row.values()) for row in rows(path, "meta")]
        assert [(-1, "", None)] == [(row["id"], row["name"], row["parent_id"]) for row in rows(path, "directory")]

    async def test_it_works_afterwards(self, tmp_path: Path) -> None:
        """The device is shown, keys count on, numbers of events and rows go on, certificates go with their device."""
        write_registry_1(tmp_path / "registry.sqlite")
        async with open_office(tmp_path) as office:
            shown = await office.registry.show(UnitId(UNIT_ID))
            (key,) = await office.keys.list_keys()
            await office.keys.enable(key.id, enabled=True, actor="test")
            await office.device(2)
            await office.registry.purge(UnitId(UNIT_ID), actor="test")
            numbers = [event.id for event in await office.events()]

        assert (shown.name, shown.site, shown.state) == ("Kiosk", "Bremen", "offline")
        assert (key.secret, key.uses) == (None, 2)
        assert numbers[:2] == [41, 42]
        assert [8] == [row["id"] for row in rows(tmp_path / "registry.sqlite", "device")]
        assert UNIT_ID not in {row["unit_id"] for row in rows(tmp_path / "registry.sqlite", "certificate")}

    def test_cut_in_the_middle(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An error in the last step leaves the file as it was in every table and row, and the next try succeeds."""
        path = tmp_path / "old.sqlite"
        write_registry_1(path)
        before = definitions(path)

        def fail(connection: Connection) -> None:
            raise OSError("the disk is full")

        monkeypatch.setattr(schema, "_insert_root", fail)
        store = new_store(path)
        with pytest.raises(StoreError, match="the disk is full"):
            store.open()
        cut = definitions(path)
        left = {table: rows(path, table) for table in ROWS}
        monkeypatch.undo()
        store = new_store(path)
        store.open()
        store.close()

        assert before == cut
        assert {table: [row] for table, row in ROWS.items()} == left
        assert str(SCHEMA_VERSION) == rows(path, "meta")[0]["value"]

    def test_killed_in_the_middle(self, tmp_path: Path) -> None:
        """The same when the process dies at that point."""
        path = tmp_path / "old.sqlite"
        write_registry_1(path)
        before = definitions(path)
        done = subprocess.run([sys.executable, "-c", KILLED_IN_THE_MIDDLE, path], check=False)
        cut = definitions(path)
        store = new_store(path)
        store.open()
        store.close()

        assert -signal.SIGKILL == done.returncode
        assert before == cut
        assert str(SCHEMA_VERSION) == rows(path, "meta")[0]["value"]


KILLED_IN_THE_MIDDLE = """
import os, pathlib, signal, sys
from tests.server.parts import new_store
from umslab_server import schema
schema._insert_root = lambda connection: os.kill(os.getpid(), signal.SIGKILL)
new_store(pathlib.Path(sys.argv[1])).open()
"""


def default(column: Column[Any]) -> object:
    """What a new column holds in a row that was there before."""
    if column.server_default is None:
        return None
    text = column.server_default.arg  # type: ignore[attr-defined]
    return int(text) if isinstance(column.type, Integer) else text
