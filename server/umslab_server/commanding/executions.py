# SPDX-License-Identifier: Apache-2.0
"""Executions and their tasks as rows: a command given once is an execution, and has one task for each device.

Section 15.4 of the facts: all devices of one call share an execution ID `ID-<server host>-<n>-<epoch ms>-<n>-0`; J7:
one result a device.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct
from sqlalchemy import func, select

from umslab_protocol.wire.orders import CommandName, Parameters
from umslab_server.commanding import parameters, selectors
from umslab_server.commanding.selectors import Selector
from umslab_server.errors import RefusedError
from umslab_server.tables import device, execution, task

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping

    from umslab_server.presence import Presence
    from umslab_server.store import Writer

KEPT_TASKS = 100_000
"""Finished tasks that are kept; the oldest executions go first."""
MAX_LISTED = 1_000

WAITING = "waiting"
AT_NEXT_BOOT = "at-next-boot"
SENT = "sent"

TimeoutSeconds = Annotated[float, Meta(gt=0, le=86_400)]
Parallel = Annotated[int, Meta(ge=0, le=10_000)]
"""Devices at the same time; 0: as many as there are threads."""
DelaySeconds = Annotated[float, Meta(ge=0, le=86_400)]


class Order(Struct, frozen=True, kw_only=True):
    """What is to be done, by whom, and how (J3)."""

    command: CommandName
    selector: Selector
    parameters: Parameters = {}
    retry_at_boot: bool = False
    """A device that is away gets it at its next boot."""
    timeout_seconds: TimeoutSeconds = 30.0
    """From the sending to the result."""
    parallel: Parallel = 0
    delay_seconds: DelaySeconds = 0.0
    """From one device to the next."""


@dataclass(frozen=True, slots=True)
class Target:
    """One task that was written."""

    number: int
    unit_id: str
    mac: str
    has_address: bool
    """Whether the device ever had an IP address."""


@dataclass(frozen=True, slots=True)
class Written:
    """An execution that was written."""

    number: int
    exec_id: str
    order: Order
    parameters: dict[str, str]
    targets: list[Target]


class TaskView(Struct, frozen=True, kw_only=True):
    """What became of a command on one device; names as in CommandExec (15.4) where it has one."""

    exec_id: str
    unit_id: str
    mac: str
    state: str
    """`waiting`, `at-next-boot`, `sent`, `SUCCESS` or `FAILED`."""
    message: str
    sent_at: str | None = None
    finished_at: str | None = None


class ExecutionView(Struct, frozen=True, kw_only=True):
    """A command that was given, and how many devices are how far."""

    exec_id: str
    command: str
    parameters: dict[str, str]
    actor: str
    job_id: int | None
    created_at: str
    finished_at: str | None
    timeout_seconds: float
    parallel: int
    delay_seconds: float
    retry_at_boot: bool
    devices: int
    states: dict[str, int]


def write(
    writer: Writer, order: Order, presence: Presence, *, host: str, actor: str, job_id: int | None, room: int
) -> Written | None:
    """Write an execution with a task for each device; `room` is how many devices there may be.

    A job (`job_id`) leaves out named devices that are not there any more, and writes nothing when no device is left:
    then this is None. Raises `RefusedError` and `InvalidValueError`.
    """
    connection, by_job = writer.connection, job_id is not None
    unit_ids = selectors.resolve(connection, order.selector, presence, writer.now, forgiving=by_job)
    checked = parameters.check(connection, order.command, order.parameters)
    if not unit_ids:
        if by_job:
            return None
        raise RefusedError("no device is meant: there is none there")
    if len(unit_ids) > room:
        raise RefusedError("too many commands are under way already; look at `umslab ctl command list`")
    number, exec_id = _insert(writer, order, checked, host=host, actor=actor, job_id=job_id)
    targets = _insert_tasks(writer, number, unit_ids)
    writer.event(
        "command-started", actor=actor, command=str(order.command), exec_id=exec_id, devices=len(targets), job=job_id
    )
    return Written(number, exec_id, order, checked, targets)


def _insert(
    writer: Writer, order: Order, checked: dict[str, str], *, host: str, actor: str, job_id: int | None
) -> tuple[int, str]:
    row = {
        "exec_id": "",
        "command": str(order.command),
        "parameters": json.dumps(checked),
        "actor": actor,
        "job_id": job_id,
        "created_at": writer.stamp,
        "timeout_seconds": order.timeout_seconds,
        "parallel": order.parallel,
        "delay_seconds": order.delay_seconds,
        "retry_at_boot": int(order.retry_at_boot),
    }
    number = int(writer.connection.execute(execution.insert().values(**row).returning(execution.c.id)).scalar_one())
    exec_id = f"ID-{host}-1-{int(writer.now.timestamp() * 1000)}-{number}-0"
    writer.connection.execute(execution.update().where(execution.c.id == number).values(exec_id=exec_id))
    return number, exec_id


def _insert_tasks(writer: Writer, number: int, unit_ids: list[str]) -> list[Target]:
    connection = writer.connection
    known = {row["unit_id"]: row for row in selectors.rows_of(connection, unit_ids, "mac", "last_ip")}
    rows = [
        {"execution_id": number, "unit_id": unit_id, "mac": known[unit_id]["mac"], "state": WAITING}
        for unit_id in unit_ids
    ]
    connection.execute(task.insert(), rows)
    made = connection.execute(
        select(task.c.id, task.c.unit_id, task.c.mac).where(task.c.execution_id == number).order_by(task.c.id)
    )
    return [Target(at, unit_id, mac, bool(known[unit_id]["last_ip"])) for at, unit_id, mac in made]


def prune(connection: Connection, surplus: int) -> int:
    """Delete the oldest finished executions until `surplus` tasks are gone; return how many went."""
    gone = 0
    oldest = select(execution.c.id).where(execution.c.finished_at.is_not(None)).order_by(execution.c.id).limit(1)
    while gone < surplus and (number := connection.execute(oldest).scalar()) is not None:
        gone += delete(connection, number)
    return gone


def delete(connection: Connection, number: int) -> int:
    """Delete an execution; return how many tasks it had."""
    gone = connection.execute(task.delete().where(task.c.execution_id == number)).rowcount
    connection.execute(execution.delete().where(execution.c.id == number))
    return int(gone)


# For reading.


def count_finished(connection: Connection) -> int:
    """Count finished tasks."""
    query = select(func.count()).select_from(task).where(task.c.finished_at.is_not(None))
    return int(connection.execute(query).scalar() or 0)


def list_executions(connection: Connection, limit: int, *, job_id: int | None = None) -> list[ExecutionView]:
    """Return the newest executions, newest first."""
    query = select(execution).order_by(execution.c.id.desc()).limit(min(limit, MAX_LISTED))
    if job_id is not None:
        query = query.where(execution.c.job_id == job_id)
    rows = connection.execute(query).mappings().all()
    states: dict[int, dict[str, int]] = {row["id"]: {} for row in rows}
    counted = (
        select(task.c.execution_id, task.c.state, func.count())
        .where(task.c.execution_id.in_(list(states)))
        .group_by(task.c.execution_id, task.c.state)
        .order_by(task.c.state)
    )
    for number, state, count in connection.execute(counted):
        states[number][state] = count
    return [_view(row, states[row["id"]]) for row in rows]


def show(connection: Connection, exec_id: str) -> tuple[ExecutionView, list[TaskView]]:
    """Return one execution with its tasks. Raises `RefusedError`."""
    row = connection.execute(select(execution).where(execution.c.exec_id == exec_id)).mappings().first()
    if row is None:
        raise RefusedError(f"there is no execution {exec_id!r}: `umslab ctl command list` shows all")
    columns = [task.c[name] for name in TaskView.__struct_fields__ if name != "exec_id"]
    query = select(*columns).where(task.c.execution_id == row["id"]).order_by(task.c.id)
    tasks = [TaskView(exec_id=exec_id, **one) for one in connection.execute(query).mappings()]
    states: dict[str, int] = {}
    for one in tasks:
        states[one.state] = states.get(one.state, 0) + 1
    return _view(row, dict(sorted(states.items()))), tasks


def _view(row: RowMapping, states: dict[str, int]) -> ExecutionView:
    values = {name: row[name] for name in ExecutionView.__struct_fields__ if name in row}
    values |= {"parameters": json.loads(row["parameters"]), "retry_at_boot": bool(row["retry_at_boot"])}
    return ExecutionView(**values, devices=sum(states.values()), states=states)


def unfinished(connection: Connection) -> list[tuple[RowMapping, list[RowMapping]]]:
    """Return every execution that has open tasks, with them, oldest first; for the start of a server."""
    columns = (task, device.c.last_ip, device.c.binned_at, device.c.booted_at, device.c.id.label("device_id"))
    query = (
        select(*columns)
        .join(device, device.c.unit_id == task.c.unit_id, isouter=True)
        .where(task.c.finished_at.is_(None))
        .order_by(task.c.id)
    )
    tasks: dict[int, list[RowMapping]] = {}
    for row in connection.execute(query).mappings():
        tasks.setdefault(row["execution_id"], []).append(row)
    wanted = select(execution).where(execution.c.finished_at.is_(None)).order_by(execution.c.id)
    return [(row, tasks.get(row["id"], [])) for row in connection.execute(wanted).mappings()]
