# SPDX-License-Identifier: Apache-2.0
"""Jobs: commands that are given again and again, or later (J2, J3).

When a job is due is in the registry, and moves on in the same change that writes the run's execution: a run that was
due while no server was there happens once, afterwards, unless the job says that it is too late then. By default it
never is (J4; the vendor offers 40 minutes).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog
from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import func, select

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.wire.orders import CommandName
from umslab_runtime.pulse import Pulse
from umslab_runtime.workers import sleep, until_moment
from umslab_server.commanding import executions, parameters, selectors
from umslab_server.commanding.executions import ExecutionView, Order
from umslab_server.errors import RefusedError
from umslab_server.store import StoreError, timestamp
from umslab_server.tables import job
from umslab_server.texts import check_name

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping

    from umslab_runtime.clock import Clock
    from umslab_server.commanding.commands import Commands
    from umslab_server.commanding.executions import Written
    from umslab_server.store import Store, Writer

MAX_JOBS = 1_000
SHOWN_RUNS = 20
RETRY_SECONDS = 10.0
"""Until the next look at a registry that could not be read."""

log = structlog.get_logger(__name__)


class Plan(Struct, frozen=True, kw_only=True):
    """When a job runs; without any of the three only by hand."""

    at: datetime | None = None
    in_seconds: float | None = None
    every_seconds: float | None = None
    """Again after this time; the first run is then too, unless `at` or `in_seconds` say when it is."""
    expiry_seconds: float | UnsetType | None = UNSET
    """A run that is later than this is left out; None: never, unset: as the server is configured."""


class JobView(Struct, frozen=True, kw_only=True):
    """A job as the terminal shows it."""

    name: str
    command: str
    parameters: dict[str, str]
    selector: dict[str, Any]
    enabled: bool
    next_run_at: str | None
    every_seconds: float | None
    expiry_seconds: float | None
    timeout_seconds: float
    parallel: int
    delay_seconds: float
    retry_at_boot: bool
    keep_results: bool
    created_at: str
    last_run_at: str | None
    runs: list[ExecutionView] = []
    """The last ones, newest first."""


class Jobs:
    """Jobs, for people; and `run`, which gives their commands when they are due."""

    def __init__(self, store: Store, commands: Commands, *, clock: Clock, expiry_minutes: float | None) -> None:
        """`expiry_minutes` holds where a job says nothing."""
        self._store = store
        self._commands = commands
        self._clock = clock
        self._expiry_seconds = None if expiry_minutes is None else expiry_minutes * 60
        self._changed = Pulse()

    async def create(
        self, name: str, order: Order, plan: Plan, *, actor: str, enabled: bool = True, keep_results: bool = True
    ) -> JobView:
        """Make a job. Raises `RefusedError` and `InvalidValueError`."""
        expiry = self._expiry_seconds if plan.expiry_seconds is UNSET else plan.expiry_seconds

        def work(writer: Writer) -> JobView:
            connection = writer.connection
            _check(connection, name)
            parameters.check(connection, order.command, order.parameters)
            self._commands.look(writer, order.selector)
            first = _first(plan, writer.now)
            values = {
                "name": name,
                "command": str(order.command),
                "parameters": json.dumps(order.parameters),
                "selector": selectors.to_text(order.selector),
                "enabled": int(enabled),
                "next_run_at": None if first is None else timestamp(first),
                "every_seconds": plan.every_seconds,
                "expiry_seconds": expiry,
                "timeout_seconds": order.timeout_seconds,
                "parallel": order.parallel,
                "delay_seconds": order.delay_seconds,
                "retry_at_boot": int(order.retry_at_boot),
                "keep_results": int(keep_results),
                "created_at": writer.stamp,
            }
            connection.execute(job.insert().values(**values))
            writer.event("job-created", actor=actor, job=name, command=str(order.command), next=values["next_run_at"])
            return _view(_find(connection, name))

        made = await self._store.change(work)
        self._look_again()
        return made

    async def list_jobs(self) -> list[JobView]:
        """Return all jobs by name, without their runs."""
        query = select(job).order_by(job.c.name)
        rows = await self._store.read(lambda connection: connection.execute(query).mappings().all())
        return [_view(row) for row in rows]

    async def show(self, name: str) -> JobView:
        """Return a job with its last runs. Raises `RefusedError`."""

        def query(connection: Connection) -> JobView:
            row = _find(connection, name)
            return _view(row, executions.list_executions(connection, SHOWN_RUNS, job_id=row["id"]))

        return await self._store.read(query)

    async def enable(self, name: str, *, enabled: bool, actor: str) -> JobView:
        """Let a job run or not; what it missed while it was disabled it does not do later. Raises `RefusedError`."""

        def work(writer: Writer) -> JobView:
            row = _find(writer.connection, name)
            values: dict[str, Any] = {"enabled": int(enabled)}
            if enabled and row["next_run_at"] is not None and row["next_run_at"] < writer.stamp:
                values["next_run_at"] = _next(row, writer.now)
            _set(writer, row, **values)
            writer.event("job-enabled" if enabled else "job-disabled", actor=actor, job=name)
            return _view(_find(writer.connection, name))

        changed = await self._store.change(work)
        self._look_again()
        return changed

    async def delete(self, name: str, *, actor: str) -> None:
        """Delete a job; commands that are under way go on, results stay. Raises `RefusedError`."""

        def work(writer: Writer) -> None:
            writer.connection.execute(job.delete().where(job.c.id == _find(writer.connection, name)["id"]))
            writer.event("job-deleted", actor=actor, job=name)

        await self._store.change(work)
        self._look_again()

    async def run_now(self, name: str, *, actor: str) -> str | None:
        """Give a job's command now, whatever its plan; returns the execution ID, None when no device is meant.

        Raises `RefusedError`.
        """
        row = await self._store.read(lambda connection: _find(connection, name))

        def beside(writer: Writer, written: Written | None) -> None:
            _find(writer.connection, name)
            _note_run(writer, row, written, actor=actor)

        run = await self._commands.issue(_order(row), actor=actor, job_id=row["id"], beside=beside)
        return None if run is None else run.exec_id

    async def run(self) -> None:
        """Give the commands of jobs when they are due, for ever."""
        while True:
            seen = self._changed.value
            try:
                row = await self._store.read(_soonest)
                due = None if row is None else datetime.fromisoformat(row["next_run_at"])
                if row is not None and due is not None and due <= self._clock.utc():
                    await self._run_due(row, due)
                    continue
            except StoreError as error:
                log.warning("jobs wait for the registry", problem=str(error))
                await sleep(RETRY_SECONDS)
                continue
            await until_moment(self._clock, due, self._changed, seen)

    async def _run_due(self, row: RowMapping, due: datetime) -> None:
        """Run a job that is due, or leave the run out; either way it is planned anew in the same change."""
        late = (self._clock.utc() - due) / timedelta(seconds=1)
        if row["expiry_seconds"] is not None and late > row["expiry_seconds"]:
            await self._skip(row, "job-expired", f"{late:.0f} s late")
            return

        def beside(writer: Writer, written: Written | None) -> None:
            if not _is_same(writer, row):
                raise RefusedError("the job was changed meanwhile")
            _note_run(writer, row, written, actor="server", next_run_at=_next(row, writer.now))

        try:
            await self._commands.issue(_order(row), actor=f"job {row['name']}", job_id=row["id"], beside=beside)
        except (RefusedError, InvalidValueError) as error:
            await self._skip(row, "job-failed", str(error))

    async def _skip(self, row: RowMapping, kind: str, why: str) -> None:
        def work(writer: Writer) -> None:
            if _is_same(writer, row):
                following = _next(row, writer.now)
                _set(writer, row, next_run_at=following)
                writer.event(kind, actor="server", cause=why, job=row["name"], due=row["next_run_at"], next=following)

        await self._store.change(work)

    def _look_again(self) -> None:
        self._changed.advance(self._changed.value + 1)


def _check(connection: Connection, name: str) -> None:
    check_name("a job", name)
    if connection.execute(select(job.c.id).where(job.c.name == name)).first() is not None:
        raise RefusedError(f"there is a job {name!r} already; delete it first")
    if (connection.execute(select(func.count()).select_from(job)).scalar() or 0) >= MAX_JOBS:
        raise RefusedError(f"there are {MAX_JOBS} jobs, which is the most there can be")


def _first(plan: Plan, now: datetime) -> datetime | None:
    if plan.at is not None and plan.in_seconds is not None:
        raise RefusedError("say when the first run is only once: --at or --in")
    if plan.at is not None:
        try:
            first = plan.at.astimezone(UTC)
        except OverflowError:
            raise RefusedError(f"{plan.at} is no date this calendar has") from None
        if first < now:
            raise RefusedError(f"{timestamp(first)} is in the past; it is {timestamp(now)} now")
        return first
    seconds = plan.every_seconds if plan.in_seconds is None else plan.in_seconds
    return None if seconds is None else now + timedelta(seconds=seconds)


def _next(row: RowMapping, now: datetime) -> str | None:
    """When a job runs after now: in step with its plan, however many runs were missed; None: never."""
    if row["every_seconds"] is None:
        return None
    every, due = timedelta(seconds=row["every_seconds"]), datetime.fromisoformat(row["next_run_at"])
    return timestamp(due + every * max(1, (now - due) // every + 1))


def _note_run(writer: Writer, row: RowMapping, written: Written | None, *, actor: str, **values: str | None) -> None:
    _set(writer, row, last_run_at=writer.stamp, **values)
    exec_id, devices = (None, 0) if written is None else (written.exec_id, len(written.targets))
    writer.event("job-run", actor=actor, job=row["name"], exec_id=exec_id, devices=devices)


def _set(writer: Writer, row: RowMapping, **values: Any) -> None:
    writer.connection.execute(job.update().where(job.c.id == row["id"]).values(**values))


def _soonest(connection: Connection) -> RowMapping | None:
    planned = select(job).where(job.c.enabled == 1, job.c.next_run_at.is_not(None))
    return connection.execute(planned.order_by(job.c.next_run_at, job.c.id).limit(1)).mappings().first()


def _is_same(writer: Writer, row: RowMapping) -> bool:
    """Whether the job still is to run at the time that was read."""
    now = writer.connection.execute(select(job).where(job.c.id == row["id"])).mappings().first()
    return now is not None and now["enabled"] == 1 and now["next_run_at"] == row["next_run_at"]


def _find(connection: Connection, name: str) -> RowMapping:
    row = connection.execute(select(job).where(job.c.name == name)).mappings().first()
    if row is None:
        raise RefusedError(f"there is no job {name!r}: `umslab ctl jobs list` shows all")
    return row


def _order(row: RowMapping) -> Order:
    return Order(
        command=CommandName(row["command"]),
        selector=selectors.from_text(row["selector"]),
        parameters=json.loads(row["parameters"]),
        retry_at_boot=bool(row["retry_at_boot"]),
        timeout_seconds=row["timeout_seconds"],
        parallel=row["parallel"],
        delay_seconds=row["delay_seconds"],
    )


def _view(row: RowMapping, runs: list[ExecutionView] | None = None) -> JobView:
    values = {name: row[name] for name in JobView.__struct_fields__ if name in row}
    values |= {name: json.loads(row[name]) for name in ("parameters", "selector")}
    values |= {name: bool(row[name]) for name in ("enabled", "retry_at_boot", "keep_results")}
    return JobView(**values, runs=runs or [])
