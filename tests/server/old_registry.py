# SPDX-License-Identifier: Apache-2.0
"""Registries as umslab wrote them before, with something in the first tables: schema 1 and, of today's words, 2."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

TABLES = """
CREATE TABLE meta (
    name VARCHAR NOT NULL,
    value VARCHAR NOT NULL,
    PRIMARY KEY (name)
);
CREATE TABLE device (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    unit_id VARCHAR NOT NULL,
    mac VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    site VARCHAR NOT NULL,
    department VARCHAR NOT NULL,
    cost_center VARCHAR NOT NULL,
    comment VARCHAR NOT NULL,
    asset_id VARCHAR NOT NULL,
    inservice_date VARCHAR NOT NULL,
    serial_number VARCHAR NOT NULL,
    firmware VARCHAR NOT NULL,
    structure_tag VARCHAR NOT NULL,
    last_ip VARCHAR NOT NULL,
    info VARCHAR NOT NULL,
    created_at VARCHAR NOT NULL,
    registered_at VARCHAR,
    last_contact VARCHAR,
    binned_at VARCHAR,
    UNIQUE (unit_id)
);
CREATE TABLE auth_key (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    secret VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    label VARCHAR NOT NULL,
    bound_to VARCHAR,
    enabled INTEGER NOT NULL,
    uses INTEGER NOT NULL,
    created_at VARCHAR NOT NULL,
    used_by VARCHAR,
    used_public_key VARCHAR,
    used_at VARCHAR,
    spent_at VARCHAR,
    UNIQUE (secret)
);
CREATE TABLE tombstone (
    unit_id VARCHAR NOT NULL,
    deleted_at VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    PRIMARY KEY (unit_id)
);
CREATE TABLE event (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    unit_id VARCHAR,
    actor VARCHAR NOT NULL,
    cause VARCHAR NOT NULL,
    data VARCHAR NOT NULL
);
CREATE INDEX event_of_device ON event (unit_id);
CREATE TABLE certificate (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    sha256 VARCHAR NOT NULL,
    unit_id VARCHAR NOT NULL,
    serial VARCHAR NOT NULL,
    public_key VARCHAR NOT NULL,
    request VARCHAR NOT NULL,
    key_id INTEGER,
    renews VARCHAR,
    der BLOB NOT NULL,
    not_after VARCHAR NOT NULL,
    issued_at VARCHAR NOT NULL,
    first_used_at VARCHAR,
    superseded_at VARCHAR,
    revoked_at VARCHAR,
    revoked_why VARCHAR NOT NULL,
    UNIQUE (sha256),
    FOREIGN KEY(unit_id) REFERENCES device (unit_id) ON DELETE CASCADE,
    UNIQUE (serial)
);
CREATE INDEX certificate_of_device ON certificate (unit_id);
CREATE INDEX certificate_of_request ON certificate (request);
"""

UNIT_ID = "0200000000A1"
ROWS: dict[str, dict[str, Any]] = {
    "meta": {"name": "schema_version", "value": "1"},
    "device": {
        "id": 7, "unit_id": UNIT_ID, "mac": UNIT_ID, "name": "Kiosk", "site": "Bremen", "department": "",
        "cost_center": "", "comment": "by the door", "asset_id": "", "inservice_date": "", "serial_number": "SN-7",
        "firmware": "12.8.4", "structure_tag": "hall-1", "last_ip": "192.0.2.7", "info": '{"unitID":"0200000000A1"}',
        "created_at": "2026-01-01T00:00:00.000Z", "registered_at": "2026-01-01T00:00:00.000Z",
        "last_contact": "2026-01-02T00:00:00.000Z", "binned_at": None,
    },
    "certificate": {
        "id": 3, "sha256": "aa" * 32, "unit_id": UNIT_ID, "serial": "01", "public_key": "bb" * 32, "request": "cc" * 32,
        "key_id": 5, "renews": None, "der": b"\x30\x00", "not_after": "2027-01-01T00:00:00.000Z",
        "issued_at": "2026-01-01T00:00:00.000Z", "first_used_at": None, "superseded_at": None, "revoked_at": None,
        "revoked_why": "",
    },
    "auth_key": {
        "id": 5, "secret": "12345678901234567", "kind": "mass", "label": "pilot", "bound_to": None, "enabled": 0,
        "uses": 2, "created_at": "2026-01-01T00:00:00.000Z", "used_by": None, "used_public_key": None, "used_at": None,
        "spent_at": None,
    },
    "tombstone": {"unit_id": "0200000000A2", "deleted_at": "2026-01-03T00:00:00.000Z", "reason": "deleted"},
    "event": {
        "id": 41, "at": "2026-01-01T00:00:00.000Z", "kind": "device-enrolled", "unit_id": UNIT_ID, "actor": "device",
        "cause": "", "data": "{}",
    },
}  # fmt: skip


def write_registry_1(path: Path) -> None:
    """Make a file of schema 1."""
    _write(path, TABLES, ROWS)


def write_registry_2(path: Path) -> None:
    """Make a file of schema 2, which has the root directory and its version already."""
    tables = Path(__file__).with_name("registry_2.sql").read_text(encoding="utf-8")
    _write(path, tables, {table: row for table, row in ROWS.items() if table != "meta"})


def _write(path: Path, tables: str, content: dict[str, dict[str, Any]]) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(tables)
        for table, row in content.items():
            marks = ", ".join("?" * len(row))
            names = ", ".join(row)
            connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))  # noqa: S608
        connection.commit()


def rows(path: Path, table: str) -> list[dict[str, Any]]:
    """What a table of a file holds, as another program sees it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1")]  # noqa: S608


def definitions(path: Path) -> dict[str, Any]:
    """How all tables of a file are defined: columns, keys, indexes; however their SQL was written."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )
        return {
            name: {
                "columns": connection.execute(f"PRAGMA table_xinfo({name})").fetchall(),
                "references": sorted(connection.execute(f"PRAGMA foreign_key_list({name})").fetchall()),
                "indexes": sorted(
                    (index[1], index[2], *connection.execute(f"PRAGMA index_info({index[1]})").fetchall())
                    for index in connection.execute(f"PRAGMA index_list({name})")
                ),
                "counted": "AUTOINCREMENT" in sql,
            }
            for name, sql in found.fetchall()
        }
