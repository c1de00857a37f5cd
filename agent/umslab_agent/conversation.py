# SPDX-License-Identifier: Apache-2.0
"""What a device says and hears on one management session (facts L1, W5, C36, L4; section 5.3).

After `welcome` it tells what it has and what it is, and asks what it is to have, at once. It counts as managed when
what it is has been acknowledged and its question answered, and the settings that came, if any, are durable. Ids come
from one counter a session. An idle conversation has no task: what is timed goes through the shared timers.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from umslab_agent import inventory
from umslab_agent.errors import DeviceFolderError
from umslab_agent.happenings import Kind
from umslab_agent.kept import AnnouncedRoots, KnownConnectors, SettingsDocument
from umslab_certs.chain import load_pem_certificates
from umslab_certs.errors import CertificateError
from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.est_address import parse_est_address
from umslab_protocol.values.host_port import parse_host
from umslab_protocol.wire.inventory import DeviceAttribute
from umslab_protocol.wire.messages import (
    Ack,
    Command,
    Connectors,
    Deregister,
    Error,
    Message,
    PullSettings,
    PushDeviceAttributes,
    PushRuntime,
    PushSysinfo,
    Roots,
    SettingsMessage,
    Welcome,
)
from umslab_runtime.mailbox import Reply

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from umslab_agent.commands import Commands
    from umslab_agent.installing import Installer
    from umslab_agent.reports import Reports
    from umslab_agent.unit import Unit
    from umslab_protocol.machines.session import Received
    from umslab_protocol.wire.messages import Heartbeat
    from umslab_runtime.pump import SessionPump

ASK_AGAIN_SECONDS = 60.0
"""After the server refused to say what the device is to have, or was too busy to hear what the device is."""
BUSY = "busy"
"""The code of an error that says nothing about the message it answers."""
ALARM_SLACK = 0.001
"""Seconds, so that what is due has happened when the alarm rings."""
MAX_REASON = 500

Answer = Ack | Error | SettingsMessage


class Conversation:
    """One session; `received` takes the server's messages, `over` ends it."""

    __slots__ = (
        "_beat_at",
        "_commands",
        "_heartbeat",
        "_info_due",
        "_info_known",
        "_installer",
        "_last_id",
        "_look_at",
        "_on_change",
        "_on_welcome",
        "_pull_at",
        "_pump",
        "_reports",
        "_settings_came",
        "_settings_known",
        "_unit",
        "_waiting",
        "_welcomed_at",
        "told_deleted",
    )

    def __init__(
        self,
        unit: Unit,
        pump: SessionPump,
        *,
        reports: Reports,
        installer: Installer,
        commands: Commands,
        on_welcome: Callable[[], None],
        on_change: Callable[[], None],
    ) -> None:
        """`on_welcome` is called when the session is open, `on_change` when `managed` may have changed."""
        self.told_deleted = False
        self._unit = unit
        self._pump = pump
        self._reports = reports
        self._installer = installer
        self._commands = commands
        self._on_welcome = on_welcome
        self._on_change = on_change
        self._last_id = 0
        self._waiting: dict[int, Callable[[Answer | None], None]] = {}
        self._info_known = self._settings_known = self._settings_came = False
        self._welcomed_at = 0.0
        self._info_due: datetime | None = None
        self._heartbeat: Heartbeat | None = None
        self._beat_at: float | None = None
        self._pull_at: float | None = None
        self._look_at: float | None = None

    @property
    def managed(self) -> bool:
        """Whether the server knows what the device is, and the device what it is to have."""
        return self._info_known and self._settings_known

    # Saying things.

    def say(self, message: Message) -> bool:
        """Send a message that wants no answer; tells whether the session was open."""
        if not self._pump.is_open:
            return False
        self._pump.send(message)
        return True

    def ask(self, make: Callable[[int], Message], on_answer: Callable[[Answer | None], None]) -> None:
        """Send a message; `on_answer` gets the answer, or None when the session ends before there is one."""
        self._last_id += 1
        if self.say(make(self._last_id)):
            self._waiting[self._last_id] = on_answer
        else:
            on_answer(None)

    def request(self, make: Callable[[int], Message]) -> Reply[Answer | None]:
        """Send a message; the reply has what `on_answer` of `ask` would get."""
        reply: Reply[Answer | None] = Reply()
        self.ask(make, reply.put)
        return reply

    def system_information(self, message_id: int) -> PushSysinfo:
        """Return the message that tells all about the device."""
        unit = self._unit
        info = inventory.device_info(
            unit.persona,
            unit.seed,
            structure_tag=unit.parameters.structure_tag,
            booted_at=unit.booted_at,
            now=unit.utc(),
            changes_per_day=unit.behaviour.sysinfo_changes_per_day,
        )
        return PushSysinfo(id=message_id, info=info)

    def pull(self, message_id: int) -> PullSettings:
        """Return the message that asks what the device is to have. Raises `DeviceFolderError` for a damaged file."""
        document = self._unit.folder.settings.load()
        return PullSettings(id=message_id, version=document.version, digest=document.digest)

    def tell_system_information(self) -> None:
        """Tell all about the device."""
        unit = self._unit
        self._info_due = inventory.next_info_change(unit.seed, unit.utc(), unit.behaviour.sysinfo_changes_per_day)
        self.ask(self.system_information, self._info_answered)

    def _tell_attributes(self) -> None:
        """Tell the device attributes that the device writes (11.2), if it has any."""
        given = self._unit.behaviour.attributes
        if given:
            attributes = [DeviceAttribute(identifier=name, value=value) for name, value in given.items()]
            self.ask(lambda number: PushDeviceAttributes(id=number, attributes=attributes), lambda _: None)

    def flush(self) -> None:
        """Say all reports that are due, and set the alarm for the next ones."""
        try:
            self._say_reports()
        except DeviceFolderError as error:
            self._trouble(error)
        self._set_alarm()

    def _say_reports(self) -> None:
        for make, acknowledged in self._reports.due():
            self.ask(make, lambda answer, done=acknowledged: _if_settled(answer, done))  # type: ignore[misc]

    # Hearing things.

    async def received(self, received: Received) -> None:
        """Take one message of the server."""
        message: Message = received.message
        match message:
            case Welcome():
                self._welcomed(message)
            case Ack() | Error():
                if message.re is not None:
                    self._answered(message.re, message)
            case SettingsMessage():
                problem = await self._store(message.id, self._take_settings(message))
                if message.re is not None:
                    self._answered(message.re, problem or message)
                await self._installer.begin()
            case Command():
                await self._commands.take(self, message)
            case Connectors():
                await self._store(message.id, self._take_connectors(message))
            case Roots():
                await self._store(message.id, self._take_roots(message))
            case Deregister():
                self.say(Ack(re=message.id))
                self.told_deleted = True
            case _:
                pass  # the session machine lets nothing else through

    def over(self) -> None:
        """The session is over."""
        self._unit.world.host.timers.forget(self)
        waiting, self._waiting = self._waiting, {}
        for on_answer in waiting.values():
            on_answer(None)

    def _welcomed(self, welcome: Welcome) -> None:
        self._welcomed_at = self._unit.now()
        self._heartbeat = welcome.heartbeat
        self._set_beat()
        self._reports.begin_session()
        self._on_welcome()
        self.flush()  # its apps before its information: the server decides by both where a new device goes (11.5)
        self.tell_system_information()
        self._tell_attributes()
        self._pull()
        self._set_alarm()
        self._installer.go_on()

    def _answered(self, message_id: int, answer: Answer) -> None:
        on_answer = self._waiting.pop(message_id, None)
        if on_answer is not None:
            on_answer(answer)

    def _info_answered(self, answer: Answer | None) -> None:
        if _was_busy(answer):
            self._info_due = self._unit.utc() + timedelta(seconds=ASK_AGAIN_SECONDS)
            self._set_alarm()
        elif isinstance(answer, Ack) and not self._info_known:
            self._info_known = True
            self._progressed()

    def _pull(self) -> None:
        self._pull_at = None
        try:
            self.ask(self.pull, self._pull_answered)
        except DeviceFolderError as error:
            self._trouble(error)

    def _pull_answered(self, answer: Answer | None) -> None:
        if isinstance(answer, Error):
            self._pull_at = self._unit.now() + ASK_AGAIN_SECONDS
            self._watch()
        elif answer is not None and not self._settings_known:
            self._settings_known = True
            self._progressed()

    def _progressed(self) -> None:
        trace = self._unit.world.trace
        if self.managed and trace is not None:
            trace("settings", self._welcomed_at)
        self._on_change()

    # What the server hands out: durable first, acknowledged then.

    async def _store(self, message_id: int, work: Awaitable[None]) -> Error | None:
        try:
            await work
        except (OSError, DeviceFolderError, CertificateError, InvalidValueError) as error:
            self._trouble(error)
            problem = Error(code="not-stored", message=str(error)[:MAX_REASON], re=message_id)
            self.say(problem)
            return problem
        self.say(Ack(re=message_id))
        return None

    async def _take_settings(self, message: SettingsMessage) -> None:
        held = self._unit.folder.settings.load()
        newer = message.version > held.version
        # A server that was set back (an old backup) answers the first question with an older version than ours.
        set_back = message.re is not None and not self._settings_came and message.digest != held.digest
        self._settings_came = True
        if newer or set_back:
            await self._installer.take(
                SettingsDocument(
                    version=message.version,
                    digest=message.digest,
                    settings=message.settings,
                    apps=message.apps,
                    files=message.files,
                )
            )

    async def _take_connectors(self, message: Connectors) -> None:
        for connector in message.connectors:
            parse_host(connector.host)
        if message.enrolment:
            parse_est_address(message.enrolment)
        known = KnownConnectors(digest=message.digest, connectors=message.connectors, enrolment=message.enrolment)
        await self._unit.world.executor.run(lambda: self._unit.folder.connectors.save(known))
        names = ", ".join(f"{one.host}:{one.port}" for one in message.connectors)
        enrolling = f"; enrolment at {message.enrolment}" if message.enrolment else ""
        self._unit.tell(Kind.CONNECTORS, f"connectors: {names or 'none'}{enrolling}", count=len(message.connectors))

    async def _take_roots(self, message: Roots) -> None:
        roots = load_pem_certificates(message.pem.encode(), "the announced roots")
        folder = self._unit.folder

        def keep() -> None:
            folder.replace_roots(roots)
            folder.announced_roots.save(AnnouncedRoots(digest=message.digest))  # cut before it: announced once more

        await self._unit.world.executor.run(keep)
        self._unit.tell(Kind.ROOTS, f"trusting {len(roots)} announced root certificate(s)", count=len(roots))

    def _trouble(self, error: Exception) -> None:
        self._unit.tell(Kind.SETTINGS, f"not stored: {error}")

    # What is timed.

    def deadline(self) -> float | None:
        """When something is to be said."""
        moments = [at for at in (self._beat_at, self._pull_at, self._look_at) if at is not None]
        return min(moments, default=None)

    def wake(self) -> None:
        """Say it."""
        now = self._unit.now()
        if self._beat_at is not None and now >= self._beat_at:
            self._set_beat()
            self._beat()
        if self._pull_at is not None and now >= self._pull_at:
            self._pull()
        if self._look_at is not None and now >= self._look_at:
            if self._info_due is not None and self._unit.utc() >= self._info_due:
                self.tell_system_information()
            self.flush()

    def _beat(self) -> None:
        unit = self._unit
        runtime = inventory.runtime(
            unit.seed, boot=unit.boot, booted_at=unit.booted_at, now=unit.utc(), battery=unit.behaviour.battery
        )
        self.ask(lambda message_id: PushRuntime(id=message_id, runtime=runtime), lambda _: None)
        unit.tell(Kind.HEARTBEAT, "heartbeat")

    def _set_beat(self) -> None:
        if self._heartbeat is not None:
            offset = self._unit.chance.random() * self._heartbeat.offsetSeconds
            self._beat_at = self._unit.now() + self._heartbeat.intervalSeconds + offset
            self._watch()

    def _set_alarm(self) -> None:
        moments = [at for at in (self._reports.next_at(), self._info_due) if at is not None]
        if moments:
            seconds = (min(moments) - self._unit.utc()).total_seconds()
            self._look_at = self._unit.now() + max(seconds, 0.0) + ALARM_SLACK
            self._watch()
        else:
            self._look_at = None

    def _watch(self) -> None:
        if self._pump.is_open:
            self._unit.world.host.watch(self)


def _was_busy(answer: Answer | None) -> bool:
    return isinstance(answer, Error) and answer.code == BUSY


def _if_settled(answer: Answer | None, done: Callable[[], None]) -> None:
    """Do this when a report has been taken or refused; what was not looked at is told again in the next session."""
    if answer is not None and not _was_busy(answer):
        done()
