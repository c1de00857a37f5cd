# SPDX-License-Identifier: Apache-2.0
"""The version of the registry's file, and how an older file becomes a newer one. The tables: tables.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import inspect, text
from sqlalchemy.schema import CreateColumn

from umslab_server.tables import ROOT_DIRECTORY, directory, meta, metadata

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

SCHEMA_VERSION = 3


def _migrate_to_2(connection: Connection) -> None:
    """Add what managing needs: directories, profiles, commands, jobs, reports."""
    _add_columns(connection, 2)
    metadata.create_all(connection)
    _insert_root(connection)


def _migrate_to_3(connection: Connection) -> None:
    """Add what OS 11 devices need (key, certificate, port, reachability, accounts), and device attributes."""
    _add_columns(connection, 3)
    metadata.create_all(connection)


def _add_columns(connection: Connection, version: int) -> None:
    """Add the columns that came with a version to the tables that are there; new tables have them anyway."""
    there = inspect(connection)
    for table in metadata.sorted_tables:
        if not there.has_table(table.name):
            continue
        known = {one["name"] for one in there.get_columns(table.name)}
        for column in table.columns:
            if column.info.get("since") == version and column.name not in known:
                definition = CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {definition}")


def _insert_root(connection: Connection) -> None:
    connection.execute(directory.insert().values(id=ROOT_DIRECTORY, name="", parent_id=None, created_at=""))


# From version n to n + 1: MIGRATIONS[n]. A new table or column comes with an entry here and a new SCHEMA_VERSION.
MIGRATIONS: dict[int, Callable[[Connection], None]] = {1: _migrate_to_2, 2: _migrate_to_3}


class SchemaError(Exception):
    """The file is not a registry this program can use; the message says what to do."""


def prepare(connection: Connection) -> None:
    """Create the tables in an empty file, or bring an older file up to date; call inside a transaction.

    Raises `SchemaError` for a file of a newer umslab or of another program.
    """
    tables = set(connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars())
    if not tables:
        metadata.create_all(connection)
        _insert_root(connection)
        connection.execute(meta.insert().values(name="schema_version", value=str(SCHEMA_VERSION)))
        return
    found = _version(connection) if "meta" in tables else None
    if found is None:
        raise SchemaError("the file is an SQLite database, but not a registry of umslab")
    if found > SCHEMA_VERSION:
        raise SchemaError(f"the registry has schema {found}, this umslab knows {SCHEMA_VERSION}: use a newer umslab")
    if found < 1:
        raise SchemaError(f"the registry has schema {found}, which no umslab has written")
    for version in range(found, SCHEMA_VERSION):
        MIGRATIONS[version](connection)
    connection.execute(meta.update().where(meta.c.name == "schema_version").values(value=str(SCHEMA_VERSION)))


def _version(connection: Connection) -> int | None:
    value = connection.execute(meta.select().where(meta.c.name == "schema_version")).first()
    return int(value.value) if value is not None and value.value.isdecimal() else None
