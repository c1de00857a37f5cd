# SPDX-License-Identifier: Apache-2.0
"""The sessions of an OS 11 device, whoever has called: one after the other, each with the conversation of OS 12.

Several may be greeted at a time; the next one is listened to when the one before is over. A peer that cannot prove the
key never gets so far, and keeps nobody waiting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from umslab_agent.conversation import Conversation
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.messages import Welcome
from umslab_runtime.http_client import close_quietly

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from umslab_agent.commands import Commands
    from umslab_agent.installing import Installer
    from umslab_agent.reports import Reports
    from umslab_agent.unit import Unit
    from umslab_protocol.machines.carrier import Closed
    from umslab_protocol.machines.os11_device import AnsweringDevice, CallingDevice
    from umslab_protocol.machines.session import Received
    from umslab_protocol.wire.os11 import Refused
    from umslab_runtime.pump import SessionPump
    from umslab_runtime.streams import HttpStream

    DeviceRole = CallingDevice | AnsweringDevice


@dataclass(frozen=True, slots=True)
class Talk:
    """How a session went."""

    closed: Closed
    refused: Refused | None
    """Why the peer did not go on, when it said so."""
    managed: bool
    """All was said that is said in a session."""
    told_deleted: bool


class Talking:
    """Carries the sessions of one device."""

    def __init__(
        self,
        unit: Unit,
        *,
        reports: Reports,
        installer: Installer,
        commands: Commands,
        on_managed: Callable[[], None],
    ) -> None:
        """`on_managed` is called whenever all was said that is said in a session."""
        self.conversation: Conversation | None = None
        """The one that is listened to."""
        self.file_transfer_port = 0
        """Where the server said that it serves files."""
        self._unit = unit
        self._reports = reports
        self._installer = installer
        self._commands = commands
        self._on_managed = on_managed
        self._turn = trio.Lock()
        self._pumps: dict[SessionPump, HttpStream] = {}
        self._quiet = trio.Event()

    async def talk(
        self,
        machine: DeviceRole,
        stream: HttpStream,
        opened: Callable[[Received], Awaitable[None]] | None = None,
    ) -> Talk:
        """Carry one session to its end and close the stream.

        `opened` is called when it is this session's turn, before anything of it is heeded; what it raises ends the
        session and is passed on.
        """
        unit = self._unit
        pump = unit.world.host.pump(machine, stream)
        conversation = Conversation(
            unit,
            pump,
            reports=self._reports,
            installer=self._installer,
            commands=self._commands,
            on_welcome=lambda: None,
            on_change=lambda: self._changed(conversation),
        )

        async def received(received: Received) -> None:
            if self.conversation is not conversation:
                await self._begin(conversation)
                if isinstance(received.message, Welcome):
                    self.file_transfer_port = received.message.fileTransferPort
                if opened is not None:
                    await opened(received)
            await conversation.received(received)

        self._pumps[pump] = stream
        try:
            closed = await pump.run(b"", received)
        finally:
            self._end(conversation)
            await close_quietly(stream)
            del self._pumps[pump]
            if not self._pumps:
                self._quiet.set()
        return Talk(closed, machine.refused, conversation.managed, conversation.told_deleted)

    def _changed(self, conversation: Conversation) -> None:
        if conversation.managed:
            self._on_managed()

    async def _begin(self, conversation: Conversation) -> None:
        await self._turn.acquire()
        self.conversation = self._commands.conversation = conversation

    def _end(self, conversation: Conversation) -> None:
        if self.conversation is conversation:
            self.conversation = None
            self._commands.session_over()
            self._turn.release()
        conversation.over()

    def close(self, reason: str) -> None:
        """Say goodbye on every session."""
        for pump in list(self._pumps):
            pump.close(CloseCode.NORMAL, reason)

    def abort(self) -> bool:
        """Break every session without a word; tells whether there was one."""
        for stream in self._pumps.values():
            stream.abort()
        return bool(self._pumps)

    async def until_quiet(self) -> None:
        """Wait until no session is left."""
        while self._pumps:
            self._quiet = trio.Event()
            await self._quiet.wait()
