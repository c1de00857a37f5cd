# SPDX-License-Identifier: Apache-2.0
"""Writes the states of tasks into the registry, many at once: thousands of commands a second share few changes.

A command is marked as sent before it leaves, so that after a crash it is known that it may have been carried out; its
execution ID lets the device answer the second time without doing it again.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select

from umslab_runtime.mailbox import Mailbox, Reply
from umslab_runtime.workers import sleep
from umslab_server.commanding import executions
from umslab_server.commanding.executions import AT_NEXT_BOOT, KEPT_TASKS, SENT
from umslab_server.store import StoreError
from umslab_server.tables import execution, job, task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from umslab_server.commanding.progress import OpenTask, Run
    from umslab_server.store import Store, Writer

MAX_RECORDS = 1_000_000
MAX_BATCH = 256
RETRY_SECONDS = 1.0
_PRUNED_AT_ONCE = 2_000

_park = task.update().where(task.c.id == bindparam("number")).values(state=AT_NEXT_BOOT, message=bindparam("text"))
_send = task.update().where(task.c.id == bindparam("number")).values(state=SENT, message="", sent_at=bindparam("at"))
_finish = (
    task.update()
    .where(task.c.id == bindparam("number"), task.c.finished_at.is_(None))
    .values(state=bindparam("how"), message=bindparam("text"), finished_at=bindparam("at"))
)


@dataclass(slots=True)
class Record:
    """A new state of a task."""

    task: OpenTask
    state: str
    message: str = ""
    actor: str = "server"
    last: bool = False
    """The execution is over with it."""
    reply: Reply[None] | None = None

    @property
    def finishes(self) -> bool:
        """Whether it is a result."""
        return self.state not in {SENT, AT_NEXT_BOOT}


class Journal:
    """One task that writes; keep `run` running."""

    def __init__(self, store: Store, *, on_over: Callable[[Run], None]) -> None:
        """`on_over` is told of executions that are over and durable."""
        self._store = store
        self._on_over = on_over
        self._box: Mailbox[Record] = Mailbox(MAX_RECORDS)
        self._finished = 0
        self.states: Counter[str] = Counter()
        """How often a task came into a state, since the start."""

    def open(self, finished: int) -> None:
        """Begin with the number of finished tasks in the registry."""
        self._finished = finished

    async def sent(self, task: OpenTask) -> None:
        """Mark a task as sent; returns when that is durable. Raises `StoreError`."""
        reply: Reply[None] = Reply()
        self._box.put(Record(task, SENT, reply=reply))
        await reply.get()

    def put(self, record: Record) -> None:
        """Write a state soon."""
        self._box.put(record)

    async def run(self) -> None:
        """Write for ever; what is left at the end is given to the store, which commits it before it closes."""
        left: list[Record] = []
        try:
            while True:
                batch, left = left or await self._box.take(MAX_BATCH), []
                try:
                    stamp, pruned = await self._store.change(self._work(batch))
                except StoreError as error:
                    left = _fail(batch, error)
                    await sleep(RETRY_SECONDS)
                else:
                    self._finished += sum(record.finishes for record in batch) - pruned
                    self._tell(batch, stamp)
        finally:
            left += self._box.take_nowait(MAX_RECORDS)
            if left:
                with suppress(StoreError):  # then it is found as it was, and done again
                    self._store.post(self._work(left))

    def _work(self, batch: Sequence[Record]) -> Callable[[Writer], tuple[str, int]]:
        known = self._finished

        def work(writer: Writer) -> tuple[str, int]:
            _keep(writer, batch)
            pruned = _close(writer, [record.task.run.number for record in batch if record.last])
            surplus = known + sum(record.finishes for record in batch) - pruned - KEPT_TASKS
            if surplus > 0:
                pruned += executions.prune(writer.connection, surplus + _PRUNED_AT_ONCE)
            return writer.stamp, pruned

        return work

    def _tell(self, batch: Sequence[Record], stamp: str) -> None:
        for record in batch:
            self.states[record.state] += 1
            run = record.task.run
            run.note(record.task, record.state, record.message, stamp)
            if record.reply is not None:
                record.reply.put(None)
            if record.last:
                self._on_over(run)


def _fail(batch: Sequence[Record], error: StoreError) -> list[Record]:
    """Tell who waits that nothing was written; return what is to be written later."""
    for record in batch:
        if record.reply is not None:
            record.reply.fail(error)
    return [record for record in batch if record.reply is None]


def _keep(writer: Writer, batch: Sequence[Record]) -> None:
    """Write the states, in the order in which one task can have several: kept for the boot, sent, finished."""
    at, connection = writer.stamp, writer.connection
    parked = [{"number": one.task.number, "text": one.message} for one in batch if one.state == AT_NEXT_BOOT]
    sent = [{"number": one.task.number, "at": at} for one in batch if one.state == SENT]
    finished = [
        {"number": one.task.number, "how": one.state, "text": one.message, "at": at} for one in batch if one.finishes
    ]
    for statement, rows in ((_park, parked), (_send, sent), (_finish, finished)):
        if rows:
            connection.execute(statement, rows)
    for one in batch:
        kind = "command-result" if one.finishes else "command-sent" if one.state == SENT else "command-kept"
        run = one.task.run
        writer.event(
            kind,
            actor=one.actor,
            unit_id=one.task.unit_id,
            cause=one.message,
            command=str(run.command),
            exec_id=run.exec_id,
            state=one.state,
        )


def _close(writer: Writer, numbers: Sequence[int]) -> int:
    """Mark executions as over; results that a job does not keep go, and are counted."""
    connection, gone = writer.connection, 0
    for number in numbers:
        kept = select(job.c.keep_results).join(execution, execution.c.job_id == job.c.id)
        if connection.execute(kept.where(execution.c.id == number)).scalar() == 0:
            gone += executions.delete(connection, number)
        else:
            connection.execute(execution.update().where(execution.c.id == number).values(finished_at=writer.stamp))
    return gone
