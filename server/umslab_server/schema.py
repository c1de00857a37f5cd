# SPDX-License-Identifier: Apache-2.0
"""The tables of the registry, and how an older file becomes a newer one.

Times are text in UTC, `2026-11-21T20:40:00.123Z`, so that they sort and read. A device keeps the database id that the
vendor's REST interface shows (section 15.4) beside its unit ID.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Table, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

SCHEMA_VERSION = 1

metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
)

device = Table(
    "device",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("unit_id", String, nullable=False, unique=True),
    Column("mac", String, nullable=False),
    Column("name", String, nullable=False),
    Column("site", String, nullable=False, default=""),
    Column("department", String, nullable=False, default=""),
    Column("cost_center", String, nullable=False, default=""),
    Column("comment", String, nullable=False, default=""),
    Column("asset_id", String, nullable=False, default=""),
    Column("inservice_date", String, nullable=False, default=""),
    Column("serial_number", String, nullable=False, default=""),
    Column("firmware", String, nullable=False, default=""),
    Column("structure_tag", String, nullable=False, default=""),
    Column("last_ip", String, nullable=False, default=""),
    Column("info", String, nullable=False, default="{}"),  # what the device said last, JSON (DeviceInfo)
    Column("created_at", String, nullable=False),
    Column("registered_at", String),  # None: imported, never registered (K8)
    Column("last_contact", String),
    Column("binned_at", String),  # not None: in the recycle bin (RB1)
    sqlite_autoincrement=True,
)

certificate = Table(
    "certificate",
    metadata,
    Column("id", Integer, primary_key=True),  # in the order of issue, whatever the clock does
    Column("sha256", String, nullable=False, unique=True),
    Column("unit_id", String, ForeignKey("device.unit_id", ondelete="CASCADE"), nullable=False),
    Column("serial", String, nullable=False, unique=True),
    Column("public_key", String, nullable=False),  # SHA-256 of the SubjectPublicKeyInfo
    Column("request", String, nullable=False),  # SHA-256 of the CSR it answers
    Column("key_id", Integer),  # the first-authentication key it was issued under; None: a renewal
    Column("renews", String),  # the certificate it renews
    Column("der", LargeBinary, nullable=False),
    Column("not_after", String, nullable=False),
    Column("issued_at", String, nullable=False),
    Column("first_used_at", String),
    Column("superseded_at", String),
    Column("revoked_at", String),
    Column("revoked_why", String, nullable=False, default=""),
    Index("certificate_of_device", "unit_id"),
    Index("certificate_of_request", "request"),
    sqlite_autoincrement=True,
)

auth_key = Table(
    "auth_key",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("secret", String, nullable=False, unique=True),  # shown on demand (K3), so it is kept as it is
    Column("kind", String, nullable=False),
    Column("label", String, nullable=False, default=""),
    Column("bound_to", String),  # unit ID of a bound key
    Column("enabled", Integer, nullable=False, default=1),
    Column("uses", Integer, nullable=False, default=0),
    Column("created_at", String, nullable=False),
    Column("used_by", String),  # one-time keys: unit ID and public key of the first success
    Column("used_public_key", String),
    Column("used_at", String),
    Column("spent_at", String),  # the first ws-connect after it: from then on it opens nothing
    sqlite_autoincrement=True,
)

tombstone = Table(
    "tombstone",
    metadata,
    Column("unit_id", String, primary_key=True),
    Column("deleted_at", String, nullable=False),
    Column("reason", String, nullable=False, default=""),
)

event = Table(
    "event",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("unit_id", String),
    Column("actor", String, nullable=False),
    Column("cause", String, nullable=False, default=""),
    Column("data", String, nullable=False, default="{}"),
    Index("event_of_device", "unit_id"),
    sqlite_autoincrement=True,
)

# From version n to n + 1: MIGRATIONS[n]. A new table or column comes with an entry here and a new SCHEMA_VERSION.
MIGRATIONS: dict[int, Callable[[Connection], None]] = {}


class SchemaError(Exception):
    """The file is not a registry this program can use; the message says what to do."""


def prepare(connection: Connection) -> None:
    """Create the tables in an empty file, or bring an older file up to date; call inside a transaction.

    Raises `SchemaError` for a file of a newer umslab or of another program.
    """
    tables = set(connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars())
    if not tables:
        metadata.create_all(connection)
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


def note_check(connection: Connection, stamp: str) -> None:
    """Write something that changes nothing: only a write finds a full disk; call inside a transaction."""
    done = connection.execute(meta.update().where(meta.c.name == "checked_at").values(value=stamp))
    if not done.rowcount:
        connection.execute(meta.insert().values(name="checked_at", value=stamp))


def _version(connection: Connection) -> int | None:
    value = connection.execute(meta.select().where(meta.c.name == "schema_version")).first()
    return int(value.value) if value is not None and value.value.isdecimal() else None
