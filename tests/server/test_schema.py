# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, inspect, text

from umslab_server import schema
from umslab_server.schema import SCHEMA_VERSION, SchemaError, note_check, prepare

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection


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

    assert set(schema.metadata.tables) <= set(inspect(connection).get_table_names())
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
    schema.meta.create(connection)

    with pytest.raises(SchemaError, match="not a registry of umslab"):
        prepare(connection)


def test_check_note(connection: Connection) -> None:
    """One row, however often."""
    prepare(connection)
    note_check(connection, "then")
    note_check(connection, "now")

    assert connection.execute(text("SELECT value FROM meta WHERE name = 'checked_at'")).all() == [("now",)]
