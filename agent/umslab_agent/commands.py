# SPDX-License-Identifier: Apache-2.0
"""Carries out what the server commands: in order, each once (facts J1, J2; section 10).

Provenance: the commands are documented; parameters, texts and times are ours. The result of a command is kept in the
journal before it is sent and before the device goes away for it; the same `execID` again is answered from there. A
command that was cut off before that is not in the journal, and is carried out when it comes again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from umslab_agent.actions import ACTIONS, Outcome, SessionOverError
from umslab_agent.errors import DeviceFolderError
from umslab_agent.happenings import Kind
from umslab_agent.kept import Done
from umslab_protocol.wire.messages import Command, Error, Result
from umslab_protocol.wire.orders import CommandName, ResultState

if TYPE_CHECKING:
    from collections.abc import Callable

    from umslab_agent.conversation import Conversation
    from umslab_agent.installing import Installer
    from umslab_agent.unit import Unit
    from umslab_protocol.machines.device_life import Departure

JOB = "commands"
MOST_WAITING = 64


@dataclass(slots=True)
class _Order:
    """One command, and the id to answer to; none while there is no session that asked."""

    command: Command
    message_id: int | None
    taken_at: float


class Commands:
    """One device's commands, done by a job of its own while there are any."""

    __slots__ = ("_depart", "_orders", "_renew", "conversation", "installer", "renewal_due", "unit")

    def __init__(
        self,
        unit: Unit,
        installer: Installer,
        *,
        depart: Callable[[Departure, str], None],
        renewal_due: Callable[[], bool],
        renew: Callable[[], None],
    ) -> None:
        """`depart` sends the device away; `renewal_due` looks at the certificate, `renew` begins to renew it."""
        self.unit = unit
        self.renewal_due = renewal_due
        self.installer = installer
        self.conversation: Conversation | None = None
        self._depart = depart
        self._renew = renew
        self._orders: list[_Order] = []

    async def take(self, conversation: Conversation, command: Command) -> None:
        """Take a command from the present session."""
        try:
            known = self.unit.folder.journal.load().find(command.execID)
        except DeviceFolderError as error:
            conversation.say(Error(code="journal-damaged", message=str(error)[:500], re=command.id))
            return
        if known is not None:
            conversation.say(_result(command.id, known))
            return
        waiting = next((order for order in self._orders if order.command.execID == command.execID), None)
        if waiting is not None:
            waiting.message_id = command.id
        elif len(self._orders) >= MOST_WAITING:
            busy = f"{MOST_WAITING} commands are waiting on this device already"
            conversation.say(Result(re=command.id, execID=command.execID, state=ResultState.FAILED, message=busy))
        else:
            self._orders.append(_Order(command, command.id, self.unit.now()))
            self.unit.jobs.start(JOB, self._work)

    def session_over(self) -> None:
        """There is no session to answer to; the server asks again in the next one."""
        self.conversation = None
        for order in self._orders:
            order.message_id = None

    def stopped(self) -> None:
        """The job was stopped, because the device goes away: nothing is under way any more."""
        self._orders.clear()

    async def _work(self) -> None:
        while self._orders:
            order = self._orders[0]
            try:
                outcome = await ACTIONS[order.command.command](self, order.command)
            except SessionOverError:
                self._orders.pop(0)  # it comes again with the next session
                continue
            except (DeviceFolderError, OSError) as error:
                outcome = Outcome.failed(str(error))
            if not await self._finish(order, outcome):
                return

    async def _finish(self, order: _Order, outcome: Outcome) -> bool:
        """Keep the result, send it, act; tells whether to go on with the next command."""
        command = order.command
        done = Done(execID=command.execID, state=outcome.state, message=outcome.message[:2000])
        try:
            await self.unit.world.executor.run(lambda: self._keep(done, outcome))
        except (DeviceFolderError, OSError) as error:
            outcome = Outcome.failed(f"the result could not be kept: {error}")
            done = msgspec.structs.replace(done, state=outcome.state, message=outcome.message[:2000])
        self._orders.pop(0)
        if order.message_id is not None and self.conversation is not None:
            self.conversation.say(_result(order.message_id, done))
            if self.unit.world.trace is not None:
                self.unit.world.trace("command", order.taken_at)
        name = CommandName(command.command)
        text = f"command {name}: {done.state}" + (f" ({done.message})" if done.message else "")
        self.unit.tell(
            Kind.COMMAND, text, command=str(name), exec_id=done.execID, result=str(done.state), message=done.message
        )
        if outcome.departure is not None:
            self._depart(outcome.departure, outcome.goodbye)
            return False
        if outcome.renew:
            self._renew()
        return True

    def _keep(self, done: Done, outcome: Outcome) -> None:
        journal = self.unit.folder.journal.load().and_done(done)
        journal = msgspec.structs.replace(journal, **outcome.pending)
        self.unit.folder.journal.save(journal)
        self.unit.replacing = journal.replacing


def _result(message_id: int, done: Done) -> Result:
    return Result(re=message_id, execID=done.execID, state=done.state, message=done.message)
