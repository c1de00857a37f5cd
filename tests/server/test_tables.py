# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.tables: what the database itself keeps in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Table, func, select
from sqlalchemy.exc import IntegrityError

from umslab_server.schema import SCHEMA_VERSION
from umslab_server.tables import (
    ROOT_DIRECTORY,
    app,
    asset_event,
    assignment,
    certificate,
    connector,
    device,
    directory,
    directory_rule,
    execution,
    logon,
    metadata,
    task,
)

from .parts import Office, unit_id

if TYPE_CHECKING:
    from umslab_server.store import Writer

NOW = "2026-01-01T00:00:00.000Z"


async def add(office: Office, table: Table, *rows: dict[str, Any]) -> None:
    """Insert rows."""

    def work(writer: Writer) -> None:
        writer.connection.execute(table.insert(), list(rows))
        writer.event("test", actor="test")

    await office.store.change(work)


async def count(office: Office, table: Table) -> int:
    """How many rows a table has."""
    query = select(func.count()).select_from(table)
    return await office.store.read(lambda connection: connection.execute(query).scalar_one())


def logged_on(at: str, user: str = "ann") -> dict[str, Any]:
    """A row of a log-on."""
    return {
        "unit_id": unit_id(1),
        "username": user,
        "loginresult": 0,
        "logintime": at,
        "logofftime": "",
        "logontype": "unknown",
    }


def plugged_in(at: int) -> dict[str, Any]:
    """A row of an asset event."""
    return {
        "unit_id": unit_id(1),
        "event": "add",
        "event_time_ms": at,
        "device_id": "046d:c077",
        "name": "Mouse",
        "vendor": "",
    }


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: str(table.name))
def test_new_columns_can_be_added(table: Table) -> None:
    """SQLite adds a column to a table with rows only with a default, or when it may be empty; they come last."""
    since = [column.info.get("since", 1) for column in table.columns]

    assert sorted(since) == since
    assert set(since) <= set(range(1, SCHEMA_VERSION + 1))
    for column in table.columns:
        if "since" in column.info:
            assert column.nullable != (column.server_default is not None)
            assert not column.unique
            assert not column.foreign_keys


async def test_the_root(office: Office) -> None:
    """There is one directory from the beginning, with the number that the vendor's interface gives it (Q12)."""
    found = await office.store.read(lambda connection: connection.execute(select(directory)).mappings().all())

    assert [(-1, "", None)] == [(row["id"], row["name"], row["parent_id"]) for row in found]
    assert ROOT_DIRECTORY == -1


async def test_a_device_begins_there(office: Office) -> None:
    """Without settings, without a boot, and with nothing said."""
    await office.device(1)
    row = await office.store.read(lambda connection: connection.execute(select(device)).mappings().one())

    assert (row["directory_id"], row["settings_version"], row["settings_when"]) == (ROOT_DIRECTORY, 0, "now")
    assert (row["boot"], row["runtime"], row["apps"], row["own_settings"]) == ("", "{}", "[]", "{}")


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        (directory, [{"name": "Bremen", "parent_id": ROOT_DIRECTORY, "created_at": NOW}] * 2),
        (directory, [{"name": "Bremen", "parent_id": 4711, "created_at": NOW}]),
        (app, [{"name": "chromium", "version": "1", "created_at": NOW}] * 2),
        (
            assignment,
            [{"object_type": "app", "object_id": 1, "receiver_type": "device", "receiver_id": 1, "position": 1}] * 2,
        ),
        (connector, [{"type": kind, "host": "ums.lab", "port": 8443} for kind in ("ums", "icg")]),
        (directory_rule, [{"name": "r", "position": 1, "criteria": "{}", "directory_id": 4711}]),
        (task, [{"execution_id": 4711, "unit_id": "u", "mac": "m", "state": "sent"}]),
        (logon, [logged_on(NOW)] * 2),
        (asset_event, [plugged_in(1)] * 2),
    ],
    ids=[
        "two of one name",
        "no parent",
        "two apps",
        "assigned twice",
        "two connectors",
        "no target",
        "no execution",
        "a log-on twice",
        "an event twice",
    ],
)
async def test_what_cannot_be(office: Office, table: Table, rows: list[dict[str, Any]]) -> None:
    """Names that are taken and references to nothing are refused by the database."""
    await office.device(1)
    before = await count(office, table)
    with pytest.raises(IntegrityError):
        await add(office, table, *rows)

    assert before == await count(office, table)


async def test_what_goes_with_a_device(office: Office) -> None:
    """Certificates, log-ons and asset events; results of commands stay."""
    await office.device(1)
    await add(office, logon, logged_on(NOW), logged_on(NOW, "bob"))
    await add(office, asset_event, plugged_in(1))
    order = {"exec_id": "x", "command": "reboot", "actor": "a", "created_at": NOW, "retry_at_boot": 0}
    await add(office, execution, {**order, "timeout_seconds": 1.0, "parallel": 1, "delay_seconds": 0.0})
    await add(office, task, {"execution_id": 1, "unit_id": unit_id(1), "mac": "m", "state": "SUCCESS"})
    before = [await count(office, table) for table in (certificate, logon, asset_event, task)]
    await office.registry.purge(unit_id(1), actor="test")

    assert before == [1, 2, 1, 1]
    assert [0, 0, 0, 1] == [await count(office, table) for table in (certificate, logon, asset_event, task)]


async def test_what_goes_with_an_execution(office: Office) -> None:
    """Its tasks."""
    order = {"exec_id": "x", "command": "reboot", "actor": "a", "created_at": NOW, "retry_at_boot": 0}
    await add(office, execution, {**order, "timeout_seconds": 1.0, "parallel": 1, "delay_seconds": 0.0})
    await add(office, task, {"execution_id": 1, "unit_id": unit_id(1), "mac": "m", "state": "SUCCESS"})
    await office.store.change(lambda writer: writer.connection.execute(execution.delete()).rowcount)

    assert 0 == await count(office, task)
