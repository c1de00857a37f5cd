# SPDX-License-Identifier: Apache-2.0
"""The store: SQLite in WAL mode, durable before acknowledged, one writer that commits many waiting changes at once.

A *change* is a function that gets a `Writer`, works on the database and writes at least one row into `event`; it runs
inside one transaction and either happens whole or not at all. Changes that wait together share a commit: each has a
savepoint of its own, so one that fails takes nothing else with it. `change` returns only after the commit is on disk
(`synchronous=FULL`). Queries that wait together share a visit to the reading thread: the way there costs more than what
most of them ask.

Why driver autocommit and our own `BEGIN IMMEDIATE`: with SQLAlchemy's default pysqlite mode, savepoints under an outer
rollback left rows committed (measured). Why an injected executor: see umslab_runtime.executor.
"""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
import structlog
from sqlalchemy import create_engine, event, func, select, text
from sqlalchemy.exc import DatabaseError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from umslab_runtime.latencies import Latencies
from umslab_runtime.mailbox import Mailbox, Reply
from umslab_runtime.pulse import Pulse
from umslab_server import schema, tables
from umslab_server.meta import write_meta

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection, Engine

    from umslab_runtime.clock import Clock
    from umslab_runtime.executor import Executor

T = TypeVar("T")

MAX_BATCH = 128
MAX_WAITING = 20_000
BUSY_MILLISECONDS = 5_000
PRUNE_EVERY = 1_000
"""Events between two looks at how many there are."""

_LAST_EVENT = select(func.max(tables.event.c.id))

log = structlog.get_logger(__name__)


class StoreError(Exception):
    """The registry cannot be opened, read or written; nothing of the failed change happened."""


def timestamp(moment: datetime) -> str:
    """Write a moment in UTC as it is stored: `2026-11-21T20:40:00.123Z`."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the event feed; `data` never holds a secret."""

    id: int
    at: str
    kind: str
    unit_id: str | None
    actor: str
    cause: str
    data: dict[str, Any]


@dataclass(slots=True)
class Writer:
    """What a change works with."""

    connection: Connection
    now: datetime
    events: list[dict[str, Any]] = field(default_factory=list)
    """Rows for the feed, written all at once at the end of the batch: a change may have a hundred thousand."""

    @property
    def stamp(self) -> str:
        """Now, as it is stored."""
        return timestamp(self.now)

    def event(self, kind: str, *, actor: str, unit_id: str | None = None, cause: str = "", **data: Any) -> None:
        """Add a row to the event feed, in this transaction."""
        row = {"at": self.stamp, "kind": kind, "unit_id": unit_id, "actor": actor, "cause": cause}
        self.events.append({**row, "data": json.dumps(data)})


@dataclass(slots=True)
class _Change(Generic[T]):
    work: Callable[[Writer], T]
    reply: Reply[T]
    awaited: bool = True


@dataclass(slots=True)
class _Outcome:
    value: Any = None
    error: BaseException | None = field(default=None)


@dataclass(slots=True)
class _Question:
    query: Callable[[Connection], Any]
    outcome: _Outcome | None = None


class Store:
    """See the module's docstring. `open` it, keep `run` running, `close` it."""

    def __init__(self, path: Path, *, clock: Clock, writer: Executor, reader: Executor, keep_events: int) -> None:
        self._path = path
        self._keep_events = keep_events
        self._clock = clock
        self._writer = writer
        self._reader = reader
        self._waiting: Mailbox[_Change[Any]] = Mailbox(MAX_WAITING)
        self._under_way: list[_Change[Any]] = []
        self._questions: deque[_Question] = deque()
        self._asking = False
        self._asked = Pulse()
        self._connections: list[Connection] = []
        self.feed = Pulse()
        self.commits = Latencies()
        """From a batch's begin to its being on disk, in seconds."""
        self.changes = 0
        """How many were committed, since the start."""

    def open(self) -> None:
        """Open or create the file, check and migrate it. Raises `StoreError` saying what is wrong with which file."""
        try:
            self._path.touch(mode=0o600)
            self._write_connection = self._connect()
            self._read_connection = self._connect()
            with _transaction(self._write_connection):
                schema.prepare(self._write_connection)
            last = self._write_connection.execute(_LAST_EVENT).scalar()
        except schema.SchemaError as error:
            self.close()
            raise StoreError(f"{self._path}: {error}") from None
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            self.close()
            raise StoreError(f"{self._path} cannot be opened as a registry: {_plain(error)}") from error
        self.feed.advance(last or 0)

    @property
    def waiting(self) -> int:
        """Changes that wait for their commit."""
        return len(self._waiting) + len(self._under_way)

    def close(self) -> None:
        """Close the file; call it when `run` has ended."""
        while self._connections:
            connection = self._connections.pop()
            connection.close()
            connection.engine.dispose()

    def _connect(self) -> Connection:
        connection = _engine(self._path).connect()
        self._connections.append(connection)
        return connection

    async def change(self, work: Callable[[Writer], T]) -> T:
        """Do a change; returns what it returns once it is on disk, raises what it raises.

        Raises `StoreError` when the disk refuses, or when too many changes wait already.
        """
        reply: Reply[T] = Reply()
        self._put(_Change(work, reply))
        return await reply.get()

    def post(self, work: Callable[[Writer], object]) -> None:
        """Do a change soon, for what nobody needs to be told of; a failure is logged."""
        self._put(_Change(work, Reply(), awaited=False))

    def _put(self, change: _Change[Any]) -> None:
        if not self._waiting.put(change):
            raise StoreError("the registry has too many changes waiting")

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run a query on the reading connection: it sees everything acknowledged before."""
        question = _Question(query)
        self._questions.append(question)
        while (outcome := question.outcome) is None:
            if self._asking:
                await self._asked.beyond(self._asked.value)
            else:
                await self._ask()
        if isinstance(outcome.error, DatabaseError):
            raise StoreError(f"the registry cannot be read: {_plain(outcome.error)}") from outcome.error
        if outcome.error is not None:
            raise outcome.error
        value: T = outcome.value
        return value

    async def _ask(self) -> None:
        """Ask all that waits, for all; who comes meanwhile waits until the first of them does the same."""
        connection = self._read_connection
        batch = [self._questions.popleft() for _ in range(min(MAX_BATCH, len(self._questions)))]
        self._asking = True
        try:
            outcomes = await self._reader.run(lambda: [_answer(one.query, connection) for one in batch])
            for one, outcome in zip(batch, outcomes, strict=True):
                one.outcome = outcome
        finally:
            self._asking = False
            # When this asker was cancelled, the others ask again.
            self._questions.extendleft(one for one in reversed(batch) if one.outcome is None)
            self._asked.advance(self._asked.value + 1)

    async def check(self) -> None:
        """Write a row that says nothing, durably: raises `StoreError` when the registry cannot be written."""
        await self.change(lambda writer: write_meta(writer.connection, "checked_at", writer.stamp))

    async def events(self, after: int, limit: int = 500, unit_id: str | None = None) -> list[Event]:
        """Return events with a number greater than `after`, oldest first."""
        query = select(tables.event).where(tables.event.c.id > after).order_by(tables.event.c.id).limit(limit)
        if unit_id is not None:
            query = query.where(tables.event.c.unit_id == unit_id)
        rows = await self.read(lambda connection: connection.execute(query).mappings().all())
        return [Event(**{**row, "data": json.loads(row["data"])}) for row in rows]

    async def before_last(self, count: int, unit_id: str | None = None) -> int:
        """Return the number after which the newest `count` events come: of all, or of one device."""
        newest = self.feed.value
        if unit_id is None or not count:
            return max(0, newest - count)
        mine = select(tables.event.c.id).where(tables.event.c.unit_id == unit_id, tables.event.c.id <= newest)
        query = mine.order_by(tables.event.c.id.desc()).offset(count).limit(1)
        return await self.read(lambda connection: connection.execute(query).scalar()) or 0

    async def run(self) -> None:
        """Commit changes, for ever; a cancellation lets the batch under way finish, or leaves it to `drain`."""
        while True:
            self._under_way = await self._waiting.take(MAX_BATCH)
            await self._commit()

    async def drain(self) -> None:
        """Commit what still waits; for the end, after `run` was cancelled."""
        while batch := self._under_way or self._waiting.take_nowait(MAX_BATCH):
            self._under_way = batch
            await self._commit()

    async def _commit(self) -> None:
        batch, began = self._under_way, self._clock.monotonic()
        outcomes, last_event = await self._writer.run(lambda: self._commit_batch(batch))
        self._under_way = []
        self.commits.record(self._clock.monotonic() - began)
        self.changes += len(batch)
        for change, outcome in zip(batch, outcomes, strict=True):
            if outcome.error is None:
                change.reply.put(outcome.value)
            else:
                change.reply.fail(outcome.error)
                if not change.awaited:
                    log.error("a change nobody waits for failed", problem=_plain(outcome.error))
        self.feed.advance(last_event)

    def _commit_batch(self, batch: list[_Change[Any]]) -> tuple[list[_Outcome], int]:
        connection = self._write_connection
        writer = Writer(connection, self._clock.utc())
        try:
            with _transaction(connection):
                outcomes = [_attempt(change.work, writer) for change in batch]
                last = self._close_batch(writer)
        except (SQLAlchemyError, sqlite3.Error) as error:
            log.exception("the registry could not be written", problem=_plain(error))
            failure = StoreError(f"the registry could not be written: {_plain(error)}")
            return [_Outcome(error=failure) for _ in batch], 0
        return outcomes, last

    def _close_batch(self, writer: Writer) -> int:
        """Write the events; return the number of the newest; now and then forget the oldest."""
        if not writer.events:
            return 0
        writer.connection.execute(tables.event.insert(), writer.events)
        last = int(writer.connection.execute(_LAST_EVENT).scalar() or 0)
        if last // PRUNE_EVERY != (last - len(writer.events)) // PRUNE_EVERY:
            writer.connection.execute(tables.event.delete().where(tables.event.c.id <= last - self._keep_events))
        return last


def _attempt(work: Callable[[Writer], Any], writer: Writer) -> _Outcome:
    connection, events_before = writer.connection, len(writer.events)
    connection.exec_driver_sql("SAVEPOINT one")
    try:
        outcome = _Outcome(value=work(writer))
    except (DatabaseError, sqlite3.Error) as error:
        if _is_fatal(error):
            raise
        outcome = _Outcome(error=error)
    except Exception as error:  # noqa: BLE001 - whatever a change raises belongs to its caller, not to the batch
        outcome = _Outcome(error=error)
    if outcome.error is not None:
        connection.exec_driver_sql("ROLLBACK TO one")
        del writer.events[events_before:]
    connection.exec_driver_sql("RELEASE one")
    return outcome


def _answer(query: Callable[[Connection], Any], connection: Connection) -> _Outcome:
    try:
        return _Outcome(value=query(connection))
    except Exception as error:  # noqa: BLE001 - whatever a query raises belongs to its asker
        return _Outcome(error=error)


def _is_fatal(error: Exception) -> bool:
    """A broken rule (unique, foreign key) or a bad value is the change's own fault; everything else is the file's."""
    original = getattr(error, "orig", error)
    return not isinstance(original, sqlite3.IntegrityError | sqlite3.DataError | sqlite3.ProgrammingError)


@contextmanager
def _transaction(connection: Connection) -> Iterator[None]:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        yield
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        with suppress(SQLAlchemyError):  # after some errors SQLite has rolled back by itself
            connection.exec_driver_sql("ROLLBACK")
        raise


def _engine(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        isolation_level="AUTOCOMMIT",
        poolclass=StaticPool,
        hide_parameters=True,  # they hold secrets, and errors are logged
        connect_args={"check_same_thread": False, "timeout": BUSY_MILLISECONDS / 1000},
    )

    @event.listens_for(engine, "connect")
    def _set_up(connection: sqlite3.Connection, _: object) -> None:
        try:
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF"):
                connection.execute(f"PRAGMA {pragma}").close()
        except sqlite3.Error:
            connection.close()
            raise

    return engine


def _plain(error: BaseException) -> str:
    return str(getattr(error, "orig", None) or error)


def copy_database(source: Path, target: Path) -> None:
    """Write a consistent copy of a registry, also while it is in use. Raises `StoreError`."""
    engine = _engine(source)
    try:
        with engine.connect() as connection:
            connection.execute(text("VACUUM INTO :target"), {"target": str(target)})
        target.chmod(0o600)
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise StoreError(f"the registry could not be copied: {_plain(error)}") from error
    finally:
        engine.dispose()
