# SPDX-License-Identifier: Apache-2.0
"""Drives one OS 12 device through its life: does what `DeviceLife` commands, and tells it how that went (living.py).

While the device is online its task carries the session (conversation.py); the daily look at the certificate and all
that is timed comes from the shared timers; commands and installations have jobs of their own while there are any
(commands.py, installing.py).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from umslab_agent import connecting, starting
from umslab_agent.behaviour import DeviceBehaviour
from umslab_agent.commands import Commands
from umslab_agent.conversation import Conversation
from umslab_agent.explain import explain_close, explain_damage
from umslab_agent.happenings import Kind, ignore
from umslab_agent.installing import Installer
from umslab_agent.living import DAMAGE, LivingDevice
from umslab_agent.onboarding import Onboarding
from umslab_agent.reports import Reports, Topic
from umslab_agent.unit import make_unit
from umslab_protocol.machines.device_life import (
    Command,
    Connected,
    Departure,
    Deregistered,
    DeviceLife,
    Disconnected,
    Enrolled,
    RenewalChecked,
    RequestReady,
    State,
    StepFailed,
    TrustEstablished,
)
from umslab_protocol.values.failure import Failure, Phase, Reason
from umslab_protocol.wire.close_codes import CloseCode
from umslab_runtime.http_client import close_quietly

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from umslab_agent.connecting import Asked
    from umslab_agent.discovery import Discovery
    from umslab_agent.folder import DeviceFolder
    from umslab_agent.happenings import Happening
    from umslab_agent.link import Link
    from umslab_agent.living import Change
    from umslab_agent.nearby import Nowhere
    from umslab_agent.onboarding import World
    from umslab_agent.persona import Persona
    from umslab_agent.trust import TrustMode
    from umslab_certs.keys import KeyType
    from umslab_protocol.machines.carrier import Closed
    from umslab_protocol.machines.device_life import Event
    from umslab_protocol.values.est_address import EstAddress
    from umslab_protocol.values.host_port import HostPort


class Device(LivingDevice):
    """One simulated OS 12 device. `run` it."""

    _life: DeviceLife

    def __init__(
        self,
        persona: Persona,
        folder: DeviceFolder,
        target: HostPort | None,
        world: World,
        *,
        life: DeviceLife,
        trust_mode: TrustMode,
        auth_key: str | None,
        key_type: KeyType,
        on_change: Callable[[Change], None],
        behaviour: DeviceBehaviour | None = None,
        on_happening: Callable[[Happening], None] = ignore,
        discovery: Discovery | None = None,
        nearby: Nowhere | None = None,
        enrol_at: EstAddress | None = None,
    ) -> None:
        """`target` is the address given by the user, or `discovery` finds one; `enrol_at` is for EST only (S7).

        The release delay of `life` follows firmware and settings. With `nearby` a magic packet switches it on.
        """
        unit = make_unit(persona, folder, world, behaviour or DeviceBehaviour(), on_happening)
        super().__init__(unit, life, on_change, discovery=discovery, nearby=nearby)
        self._onboarding = Onboarding(
            persona, folder, target, unit.world,
            trust_mode=trust_mode, auth_key=auth_key, key_type=key_type, enrol_at=enrol_at,
        )  # fmt: skip
        self._reports = Reports(unit)
        self._installer = Installer(unit, changed=self._report, in_effect=self._settings_in_effect)
        self._commands = Commands(
            unit, self._installer, depart=self.depart, renewal_due=self._renewal_due, renew=self._renew_if_due
        )
        self._conversation: Conversation | None = None
        self._link: Link | None = None
        self._asked: list[Asked] = []

    def cut(self) -> bool:
        """Break the session; see `LivingDevice.cut`."""
        if self._link is not None:
            self._link.stream.abort()
        return self._life.state is State.ONLINE

    async def _step(self, command: Command) -> list[Command]:
        event = await self._do(command)
        return [Command.RENEW] if event is None else await self._handle(event)

    async def _handle(self, event: Event) -> list[Command]:
        return await self._go(event) if isinstance(event, Departure) else self._life.handle(event, self._unit.now())

    def _stopped(self) -> None:
        self._commands.stopped()

    # Booting.

    def _start_up(self) -> list[Command]:
        unit = self._unit
        document, installed = starting.start_up(unit)
        self._onboarding.persona = unit.persona
        self._life.release_delay = unit.parameters.release_delay
        self._installer.begin_boot(document, installed)
        self._reports.begin_boot(installed)
        if self._discovery is not None:
            self._discovery.look_again(self._onboarding)
        return self._life.handle(starting.look_around(unit, discovers=self._discovery is not None), unit.now())

    def _refusals(self) -> Sequence[Asked]:
        failure = self._life.failure
        return self._asked if failure is not None and failure.reason is Reason.UNKNOWN_DEVICE else []

    # Doing a step.

    async def _do(self, command: Command) -> Event | None:
        """Do a step; None means that the session was closed in order to renew."""
        finding = self._discovery
        if finding is not None and command in {Command.RENEW, Command.CONNECT}:
            failure = await finding.locate(self._unit, self._onboarding)
            if failure is not None:
                return StepFailed(failure)
        match command:
            case Command.ESTABLISH_TRUST if finding is not None:
                find = partial(finding.establish_trust, self._unit, self._onboarding)
                return await self._onboarding_step(find, TrustEstablished())
            case Command.ESTABLISH_TRUST:
                return await self._onboarding_step(self._onboarding.establish_trust, TrustEstablished())
            case Command.PREPARE_REQUEST:
                return await self._onboarding_step(self._onboarding.prepare_request, RequestReady())
            case Command.ENROL:
                return await self._onboarding_step(self._onboarding.enrol, Enrolled())
            case Command.RENEW:
                return await self._onboarding_step(self._onboarding.renew_anywhere, Enrolled())
            case Command.CHECK_RENEWAL:
                return RenewalChecked(due=self._renewal_due())
            case _:
                return await self._connect()

    async def _onboarding_step(self, step: Callable[[], Awaitable[Failure | None]], done: Event) -> Event:
        failure = await step()
        return done if failure is None else StepFailed(failure)

    # The session.

    async def _connect(self) -> Event | None:
        unit = self._unit
        try:
            target, link = await connecting.connect(unit, self._onboarding.targets(), starting.make_hello(unit))
        except connecting.NobodyAcceptedError as nobody:
            self._asked = nobody.asked
            if self._discovery is not None:
                self._discovery.tell_refusals(unit, nobody.asked)
                self._discovery.look_again(self._onboarding)
            connecting.note_unknown(unit, nobody.failure)
            return StepFailed(nobody.failure)
        except DAMAGE as error:
            return StepFailed(explain_damage(Phase.CONNECT, error))
        unit.connected_to = target
        self._link = link
        self._conversation = self._commands.conversation = conversation = Conversation(
            unit,
            link.pump,
            reports=self._reports,
            installer=self._installer,
            commands=self._commands,
            on_welcome=self._welcomed,
            on_change=self._managed_changed,
        )
        try:
            closed = await link.pump.run(link.first_bytes, conversation.received)
        finally:
            unit.world.host.timers.forget(self)
            self._commands.session_over()
            conversation.over()
            self._link, self._conversation, self.managed = None, None, False
            await close_quietly(link.stream)
        return self._after(closed, told_deleted=conversation.told_deleted)

    def _welcomed(self) -> None:
        """The session is open: the device is not unknown (L5), and this address is a good one (W8)."""
        unit = self._unit
        self._life.handle(Connected(), unit.now())
        unit.world.host.watch(self)
        try:
            unit.folder.unknown.remove()
            self._asked = []
            if unit.connected_to is not None:
                connecting.remember(unit, unit.connected_to)
        except DAMAGE as error:
            unit.tell(Kind.CONNECTORS, f"the address could not be remembered: {error}")
        self._tell()
        if self._departure is not None:  # it came while the session was being opened
            self._close("going away")

    def _after(self, closed: Closed, *, told_deleted: bool) -> Event | None:
        if told_deleted and self._life.state is State.ONLINE:
            return Deregistered()
        if self._life.state is State.RENEWING:
            return None
        if self._life.state is State.ONLINE and self._departure is not None:
            return self._departure
        failure = explain_close(closed)
        return Disconnected(failure) if self._life.state is State.ONLINE else StepFailed(failure)

    def _managed_changed(self) -> None:
        self.managed = self._conversation is not None and self._conversation.managed
        if self.managed:
            self._tell()

    def _report(self, topic: Topic) -> None:
        self._reports.changed(topic)
        if self._conversation is not None and self._life.state is State.ONLINE:
            self._conversation.flush()

    def _settings_in_effect(self) -> None:
        self._life.release_delay = self._unit.parameters.release_delay
        if self._conversation is not None and self._life.state is State.ONLINE:
            self._conversation.tell_system_information()  # the structure tag may be another
            self._conversation.flush()

    def _close(self, reason: str) -> None:
        if self._link is not None:
            self._link.pump.close(CloseCode.NORMAL, reason)

    # The daily look at the certificate, called by the timers.

    def deadline(self) -> float | None:
        """When the certificate is looked at again."""
        return self._life.deadline()

    def wake(self) -> None:
        """Look at it; a renewal that is due closes the session, renews, and comes back."""
        if Command.CHECK_RENEWAL in self._life.on_deadline(self._unit.now()):
            self._renew_if_due()

    def _renew_if_due(self) -> None:
        if self._life.state is State.ONLINE:
            self.renew(due=self._renewal_due())

    def renew(self, *, due: bool = True) -> None:
        """Renew the certificate if it is due and the device online: the session is closed for it, and comes back."""
        if self._life.state is State.ONLINE and self._life.handle(RenewalChecked(due=due), self._unit.now()):
            self._close("renewing the certificate")

    def _renewal_due(self) -> bool:
        return starting.is_renewal_due(self._unit)
