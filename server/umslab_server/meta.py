# SPDX-License-Identifier: Apache-2.0
"""Single values that the registry keeps about itself, by name; for use inside a change or a query."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from umslab_server.tables import meta

if TYPE_CHECKING:
    from sqlalchemy import Connection


def read_meta(connection: Connection, name: str) -> str | None:
    """Return a value, None when there is none."""
    value: str | None = connection.execute(select(meta.c.value).where(meta.c.name == name)).scalar()
    return value


def write_meta(connection: Connection, name: str, value: str) -> None:
    """Keep a value in place of the one before; call inside a transaction."""
    done = connection.execute(meta.update().where(meta.c.name == name).values(value=value))
    if not done.rowcount:
        connection.execute(meta.insert().values(name=name, value=value))
