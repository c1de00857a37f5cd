# SPDX-License-Identifier: Apache-2.0
"""Executions that are under way, in memory: their open tasks, and the results as they come.

What is here is also in the registry, or on its way there (journal.py); after a restart it is made from there.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from umslab_protocol.wire.messages import Command
from umslab_runtime.pulse import Pulse
from umslab_runtime.workers import Places, beyond_within
from umslab_server.commanding.executions import SENT, WAITING, TaskView

if TYPE_CHECKING:
    from collections.abc import Callable

    from umslab_protocol.wire.orders import CommandName
    from umslab_runtime.mailbox import Reply
    from umslab_server.sessions import Answer, LiveSession


class OpenTask:
    """A command that one device is to carry out, and has not."""

    __slots__ = (
        "at_work", "due", "ends", "has_address", "has_place", "mac", "number", "over", "parked", "reply", "returning",
        "run", "session", "state", "unit_id",
    )  # fmt: skip

    def __init__(self, number: int, unit_id: str, mac: str, *, has_address: bool, run: Run) -> None:
        self.number = number
        self.unit_id = unit_id
        self.mac = mac
        self.has_address = has_address
        self.run = run
        self.state = WAITING
        self.over = False
        self.at_work = False
        """A worker has it, or it is in the workers' queue."""
        self.has_place = False
        """It counts among the devices that the execution may have under way at the same time."""
        self.parked = False
        """The registry says that it is kept for the next boot."""
        self.due = False
        """It was kept for a boot, and the device has booted."""
        self.returning = False
        """It waits, since before a restart of the server, for the device to come back."""
        self.ends: float | None = None
        """When its time is over, in monotonic seconds."""
        self.session: LiveSession | None = None
        self.reply: Reply[Answer | None] | None = None

    @property
    def why_away(self) -> str:
        """What is said of a device that cannot be reached (WL6 for one that never had an address)."""
        return "the device is offline" if self.has_address else "Found no IP address for device"

    def deadline(self) -> float | None:
        """When to be woken (see `Timers`): while nobody works on it and it waits for its device."""
        waits = self.state == SENT or self.returning
        return self.ends if waits and not self.at_work and not self.over else None

    def wake(self) -> None:
        """Its time is over."""
        self.run.on_late(self)

    def message(self, number: int) -> Command:
        """The message to the device."""
        run = self.run
        return Command(id=number, execID=run.exec_id, command=run.command, parameters=run.parameters)

    def let_go(self) -> None:
        """Wake whoever waits for the device's answer, without one."""
        if self.reply is not None:
            self.reply.put(None)


class Run:
    """One execution that is under way."""

    def __init__(
        self,
        number: int,
        exec_id: str,
        command: CommandName,
        parameters: dict[str, str],
        *,
        timeout_seconds: float,
        parallel: int,
        delay_seconds: float,
        retry_at_boot: bool,
        on_late: Callable[[OpenTask], None],
    ) -> None:
        self.number = number
        self.exec_id = exec_id
        self.command = command
        self.parameters = parameters
        self.timeout_seconds = timeout_seconds
        self.delay_seconds = delay_seconds
        self.retry_at_boot = retry_at_boot
        self.on_late = on_late
        self.places = Places(parallel) if parallel else None
        self.pending: deque[OpenTask] = deque()
        self.is_fed = False
        """Somebody is handing out `pending`."""
        self.devices = 0
        self.open = 0
        """Tasks that are not over."""
        self._unsettled = 0
        self._news: list[TaskView] = []
        self._pulse = Pulse()

    def expect(self, devices: int, *, parked: int = 0) -> None:
        """Say how many tasks there are, before the first of them can be over."""
        self.devices = self.open = devices
        self._unsettled = devices - parked

    @property
    def is_settled(self) -> bool:
        """Whether nothing more is to come before the next boot of a device."""
        return self._unsettled == 0

    def note(self, task: OpenTask, state: str, message: str, stamp: str) -> None:
        """A state is durable: tell those who watch of results and of what is kept for the next boot."""
        was_parked, task.parked = task.parked, state not in {SENT, "SUCCESS", "FAILED"}
        if state == SENT:
            self._unsettled += was_parked
            return
        self._unsettled -= not was_parked
        self._news.append(
            TaskView(
                exec_id=self.exec_id,
                unit_id=task.unit_id,
                mac=task.mac,
                state=state,
                message=message,
                finished_at=None if task.parked else stamp,
            )
        )
        self._pulse.advance(len(self._news))

    async def news(self, seen: int, within: float | None = None) -> list[TaskView]:
        """Return what happened after the first `seen` news, waiting for something; empty: all is settled, or too late.

        A device that was away is told once when it is decided to wait for its next boot.
        """
        if len(self._news) <= seen and not self.is_settled:
            await beyond_within(self._pulse, seen, within)
        return self._news[seen:]
