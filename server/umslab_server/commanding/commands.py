# SPDX-License-Identifier: Apache-2.0
"""Commands to devices and their results (J1-J3, J7; J5: the server that was asked carries them out).

A task goes from `waiting` to `sent`, which is durable before the message leaves, to `SUCCESS` or `FAILED`. For a device
that cannot be reached it fails at once, or is kept `at-next-boot` if that was asked for. When the session is lost after
the sending, the task stays `sent` and is sent again at the device's next hello until its time is over: a device knows
the execution ID and does nothing twice.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from umslab_protocol.wire.messages import Error, Result
from umslab_protocol.wire.orders import CommandName, ResultState
from umslab_runtime.mailbox import Reply
from umslab_runtime.slices import in_slices
from umslab_runtime.timers import Timers
from umslab_runtime.workers import get_within, sleep
from umslab_server.commanding import executions, selectors
from umslab_server.commanding.executions import AT_NEXT_BOOT, SENT, WAITING, ExecutionView, Order, TaskView, Written
from umslab_server.commanding.journal import Journal, Record
from umslab_server.commanding.progress import OpenTask, Run
from umslab_server.errors import RefusedError
from umslab_server.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import RowMapping

    from umslab_protocol.values.unit_id import UnitId
    from umslab_protocol.wire.messages import Hello
    from umslab_runtime.clock import Clock
    from umslab_runtime.workers import Workers
    from umslab_server.commanding.selectors import Selector
    from umslab_server.reach import Reach
    from umslab_server.sessions import Answer, LiveSession
    from umslab_server.store import Store, Writer

MAX_OPEN_TASKS = 200_000
_SLICE = 200
"""Tasks that are handed out before everybody else gets a turn."""
REJECTED = "rejected: the request queue is full"  # section 9
KEPT = "waits for the next boot of the device"
DELETED = "the device was deleted"


class Commands:
    """Carries out commands. `open` it before devices come, keep `run` running."""

    def __init__(
        self,
        store: Store,
        reach: Reach,
        *,
        clock: Clock,
        workers: Workers,
        host: str,
        timeout_seconds: float,
    ) -> None:
        """`host` is this server's name in execution IDs; `timeout_seconds` holds where nobody says otherwise."""
        self._store = store
        self._reach = reach
        self._clock = clock
        self._workers = workers
        self._host = host
        self._timeout_seconds = timeout_seconds
        self._timers = Timers(clock)
        self.journal = Journal(store, on_over=self._over)
        self._runs: dict[str, Run] = {}
        self._by_device: dict[str, list[OpenTask]] = {}
        self.open_tasks = 0
        self._starting = 0
        self._gone_meanwhile: set[str] = set()

    # For people.

    async def start(
        self,
        command: CommandName,
        selector: Selector,
        parameters: Mapping[str, str] | None = None,
        *,
        actor: str,
        retry_at_boot: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109 - the device's, not the caller's
        parallel: int = 0,
        delay: float = 0.0,
    ) -> str:
        """Give a command to devices; returns the execution ID once that is durable.

        Raises `RefusedError`, `InvalidValueError` and `StoreError`.
        """
        order = Order(
            command=command,
            selector=selector,
            parameters=dict(parameters or {}),
            retry_at_boot=retry_at_boot,
            timeout_seconds=self._timeout_seconds if timeout is None else timeout,
            parallel=parallel,
            delay_seconds=delay,
        )
        run = await self.issue(order, actor=actor)
        assert run is not None  # noqa: S101 - only a job may mean nobody
        return run.exec_id

    async def issue(
        self,
        order: Order,
        *,
        actor: str,
        job_id: int | None = None,
        beside: Callable[[Writer, Written | None], None] | None = None,
    ) -> Run | None:
        """Give a command; `beside` is what else belongs to the same change. None: a job that means nobody now."""

        def work(writer: Writer) -> Written | None:
            room = MAX_OPEN_TASKS - self.open_tasks
            written = executions.write(
                writer, order, self._reach.presence, host=self._host, actor=actor, job_id=job_id, room=room
            )
            if beside is not None:
                beside(writer, written)
            return written

        self._starting += 1
        try:
            written = await self._store.change(work)
            return None if written is None else await self._take_up(written)
        finally:
            self._starting -= 1
            if not self._starting:
                self._gone_meanwhile.clear()

    def look(self, writer: Writer, selector: Selector) -> list[str]:
        """Return which devices a selector means now, inside a change. Raises `RefusedError`, `InvalidValueError`."""
        return selectors.resolve(writer.connection, selector, self._reach.presence, writer.now)

    async def select(self, selector: Selector) -> list[str]:
        """Return the unit IDs of the devices that are meant now. Raises `RefusedError` and `InvalidValueError`."""
        now = self._clock.utc()
        return await self._store.read(
            lambda connection: selectors.resolve(connection, selector, self._reach.presence, now)
        )

    def progress(self, exec_id: str) -> Run | None:
        """Return an execution that is under way, to follow it; None when it is over."""
        return self._runs.get(exec_id)

    async def results(self, exec_id: str) -> tuple[ExecutionView, list[TaskView]]:
        """Return an execution and what became of it on each device. Raises `RefusedError`."""
        return await self._store.read(lambda connection: executions.show(connection, exec_id))

    async def list_executions(self, limit: int = 100) -> list[ExecutionView]:
        """Return the newest executions, newest first."""
        return await self._store.read(lambda connection: executions.list_executions(connection, limit))

    async def cancel(self, exec_id: str, *, actor: str) -> int:
        """Give up what is still open of an execution; returns how many devices that are. Raises `RefusedError`."""
        run = self._runs.get(exec_id)
        if run is None:
            view, _ = await self.results(exec_id)
            raise RefusedError(f"{view.exec_id} is over already")
        tasks = [task for tasks in self._by_device.values() for task in tasks if task.run is run]
        async for some in in_slices(tasks, _SLICE):
            for task in some:
                self._finish(task, ResultState.FAILED, f"cancelled by {actor}", actor=actor)
        return len(tasks)

    # For the other services.

    async def greeted(self, session: LiveSession, hello: Hello, booted: bool) -> None:  # noqa: FBT001 - an `OnGreeted`
        """A device is here (again): it gets what was sent and not answered, and what waits for its boot."""
        del hello
        for task in list(self._by_device.get(session.unit_id, ())):
            task.due |= booted and task.state == AT_NEXT_BOOT
            if task.at_work:
                if task.session is not session:
                    task.let_go()  # an answer on the older session will not come
            elif task.state == SENT or task.due:
                self._submit(task, always=True)
            elif task.returning:
                self._return(task)

    def gone(self, unit_id: UnitId) -> None:
        """A device was deleted or moved into the recycle bin: it cannot be addressed any more (J8)."""
        if self._starting:
            self._gone_meanwhile.add(unit_id)
        for task in list(self._by_device.get(unit_id, ())):
            self._finish(task, ResultState.FAILED, DELETED)

    async def open(self) -> None:
        """Take up again what was open when the server ended. Raises `StoreError`."""
        rows, finished = await self._store.read(
            lambda connection: (executions.unfinished(connection), executions.count_finished(connection))
        )
        self.journal.open(finished)
        for row, tasks in rows:
            if tasks:
                self._take_up_again(row, tasks)

    async def run(self) -> None:
        """Write states and watch the time, for ever."""
        self._workers.beside(self._timers.run)
        await self.journal.run()

    # An execution.

    async def _take_up(self, written: Written) -> Run:
        order = written.order
        run = Run(
            written.number,
            written.exec_id,
            order.command,
            written.parameters,
            timeout_seconds=order.timeout_seconds,
            parallel=order.parallel,
            delay_seconds=order.delay_seconds,
            retry_at_boot=order.retry_at_boot,
            on_late=self._late,
        )
        run.expect(len(written.targets))
        self._runs[run.exec_id] = run
        async for some in in_slices(written.targets, _SLICE):
            for one in some:
                task = OpenTask(one.number, one.unit_id, one.mac, has_address=one.has_address, run=run)
                self._add(task)
                run.pending.append(task)
        for unit_id in self._gone_meanwhile:
            self.gone(unit_id)  # type: ignore[arg-type]
        self._feed(run)
        return run

    def _take_up_again(self, row: RowMapping, tasks: list[RowMapping]) -> None:
        run = Run(
            row["id"],
            row["exec_id"],
            CommandName(row["command"]),
            json.loads(row["parameters"]),
            timeout_seconds=row["timeout_seconds"],
            parallel=row["parallel"],
            delay_seconds=row["delay_seconds"],
            retry_at_boot=bool(row["retry_at_boot"]),
            on_late=self._late,
        )
        run.expect(len(tasks), parked=sum(one["state"] == AT_NEXT_BOOT for one in tasks))
        self._runs[run.exec_id] = run
        added = [self._restore(run, row["created_at"], one) for one in tasks]
        for one, task in zip(tasks, added, strict=True):
            if one["device_id"] is None or one["binned_at"] is not None:
                self._finish(task, ResultState.FAILED, DELETED)
            elif not self._reach.is_called(task.unit_id):
                self._timers.watch(task)
            elif task.state == SENT:
                self._submit(task, always=True)
            elif task.returning:  # it does not come back by itself
                self._return(task)

    def _restore(self, run: Run, created_at: str, row: RowMapping) -> OpenTask:
        """Make a task as it was; one that waited gets until its timeout for its device to come back."""
        task = OpenTask(row["id"], row["unit_id"], row["mac"], has_address=bool(row["last_ip"]), run=run)
        task.state = row["state"]
        task.parked = task.state == AT_NEXT_BOOT
        task.due = task.parked and (row["booted_at"] or "") > created_at
        task.returning = task.state == WAITING
        left = run.timeout_seconds
        if row["sent_at"] is not None:
            passed = (self._clock.utc() - datetime.fromisoformat(row["sent_at"])) / timedelta(seconds=1)
            left -= max(0.0, passed)
        task.ends = self._clock.monotonic() + max(0.0, left)
        self._add(task)
        return task

    def _add(self, task: OpenTask) -> None:
        self.open_tasks += 1
        self._by_device.setdefault(task.unit_id, []).append(task)

    def _over(self, run: Run) -> None:
        self._runs.pop(run.exec_id, None)

    def _feed(self, run: Run) -> None:
        if not run.is_fed:
            run.is_fed = True
            self._workers.beside(partial(self._hand_out, run))

    async def _hand_out(self, run: Run) -> None:
        """Hand the pending tasks of an execution to the workers, as many at a time and as fast as was asked for."""
        handed = 0
        try:
            while run.pending:
                task = run.pending.popleft()
                handed += 1
                if handed % _SLICE == 0:
                    await sleep(0)
                if run.command is CommandName.WAKE_UP:
                    self._finish(task, *await self._reach.wake(task.unit_id, task.mac, run.exec_id))
                elif not self._reach.is_worth_trying(task.unit_id):
                    self._away(task)
                else:
                    if run.places is not None:
                        await run.places.take()
                        task.has_place = True
                    self._submit(task)
                    if run.delay_seconds and run.pending:
                        await sleep(run.delay_seconds)
        finally:
            run.is_fed = False

    # A task.

    def _submit(self, task: OpenTask, *, always: bool = False) -> None:
        task.at_work = True
        if not self._workers.submit(partial(self._work, task), always=always):
            self._leave(task)
            self._finish(task, ResultState.FAILED, REJECTED)

    async def _work(self, task: OpenTask) -> None:
        try:
            if await self._is_there(task) and await self._mark_sent(task):
                await self._carry_out(task)
        finally:
            self._leave(task)
        self._timers.watch(task)  # when it was sent and its device is away

    @staticmethod
    def _leave(task: OpenTask) -> None:
        task.at_work = False
        if task.has_place and task.run.places is not None:
            task.has_place = False
            task.run.places.free()

    async def _is_there(self, task: OpenTask) -> bool:
        """Get hold of the device for a command that was not sent yet."""
        if not (there := task.state == SENT or task.over or await self._reach.session(task.unit_id) is not None):
            self._away(task)  # it left while this waited for its turn, or was called in vain
        return there

    async def _mark_sent(self, task: OpenTask) -> bool:
        """Make durable that the command is about to leave; tells whether it may."""
        if task.state == SENT or task.over:
            return not task.over
        try:
            await self.journal.sent(task)
        except StoreError as error:
            self._finish(task, ResultState.FAILED, f"nothing was sent: {error}")
            return False
        if not task.over:
            task.state = SENT
            task.ends = self._clock.monotonic() + task.run.timeout_seconds
        return not task.over

    async def _carry_out(self, task: OpenTask) -> None:
        """Send the command and wait for its result; again when the device has come back with another session."""
        while not task.over and (session := await self._reach.session(task.unit_id)) is not None:
            left = (task.ends or 0.0) - self._clock.monotonic()
            if left <= 0:
                self._late(task)
                return
            reply: Reply[Answer | None] = Reply()
            task.session, task.reply = session, reply
            try:
                if not session.order(task.message, reply.put):
                    return
                answer = await get_within(reply, left)
            except TimeoutError:
                self._late(task)
                return
            finally:
                task.session = task.reply = None
            if answer is not None:
                self._conclude(task, answer)
                return

    def _conclude(self, task: OpenTask, answer: Answer) -> None:
        if isinstance(answer, Result) and answer.execID == task.run.exec_id:
            self._finish(task, answer.state, answer.message, actor="device")
        elif isinstance(answer, Error):
            self._finish(task, ResultState.FAILED, f"{answer.code}: {answer.message}", actor="device")
        else:
            self._finish(task, ResultState.FAILED, "the device answered something that is no result", actor="device")

    def _away(self, task: OpenTask) -> None:
        if task.over or task.state == AT_NEXT_BOOT:
            return
        if task.run.retry_at_boot:
            task.state = AT_NEXT_BOOT
            self.journal.put(Record(task, AT_NEXT_BOOT, KEPT))
        else:
            self._finish(task, ResultState.FAILED, task.why_away)

    def _late(self, task: OpenTask) -> None:
        if task.returning:
            self._return(task)
        else:
            self._finish(task, ResultState.FAILED, f"no result within {task.run.timeout_seconds:g} s")

    def _return(self, task: OpenTask) -> None:
        """Hand out a task that waited for its device since before a restart."""
        task.returning = False
        task.run.pending.append(task)
        self._feed(task.run)

    def _finish(self, task: OpenTask, state: ResultState, message: str, *, actor: str = "server") -> None:
        """A task is over; the first who says so is right."""
        if task.over:
            return
        task.over = True
        task.let_go()
        self._timers.forget(task)
        self.open_tasks -= 1
        task.run.open -= 1
        tasks = self._by_device[task.unit_id]
        tasks.remove(task)
        if not tasks:
            del self._by_device[task.unit_id]
        self.journal.put(Record(task, str(state), message, actor, last=task.run.open == 0))
