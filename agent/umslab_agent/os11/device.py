# SPDX-License-Identifier: Apache-2.0
"""Drives one OS 11 device through its life: registers, contacts its UMS, and is there for its calls (living.py).

The device's task carries the contacts; calls are answered by a job that listens (listening.py). Whoever has called,
what is said is the conversation of OS 12 (talking.py), and what the UMS orders is done as on OS 12.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import trio

from umslab_agent import inventory, starting
from umslab_agent.behaviour import DeviceBehaviour
from umslab_agent.commands import Commands
from umslab_agent.explain import explain_damage
from umslab_agent.happenings import Kind, ignore
from umslab_agent.installing import Installer
from umslab_agent.kept import Discovered
from umslab_agent.living import DAMAGE, LivingDevice
from umslab_agent.os11 import keeping
from umslab_agent.os11.contacting import PIN_GONE, Contacting
from umslab_agent.os11.errands import file_errand
from umslab_agent.os11.explaining import explain_end, explain_refused
from umslab_agent.os11.listening import JOB, Listening
from umslab_agent.os11.registering import Wish
from umslab_agent.os11.talking import Talk, Talking
from umslab_agent.reports import Reports
from umslab_agent.unit import make_unit
from umslab_protocol.machines.device_life import Command, Departure, Deregistered, State, StepFailed
from umslab_protocol.machines.device_life_os11 import (
    Contacted,
    NetworkChanged,
    Os11Booted,
    Os11DeviceLife,
    Registered,
    ReportDue,
)
from umslab_protocol.values.failure import Failure, Phase, Reason
from umslab_protocol.values.host_port import PUSH_PORT, HostPort
from umslab_runtime.network import ListenError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.x509 import Certificate

    from umslab_agent.discovery import Discovery, Found
    from umslab_agent.folder import DeviceFolder
    from umslab_agent.happenings import Happening
    from umslab_agent.living import Change
    from umslab_agent.nearby import Nowhere
    from umslab_agent.onboarding import World
    from umslab_agent.persona import Persona
    from umslab_agent.reports import Topic
    from umslab_agent.unit import Errand
    from umslab_certs.keys import KeyType
    from umslab_protocol.machines.device_life_os11 import Os11Event
    from umslab_protocol.machines.os11_device import AnsweringDevice
    from umslab_runtime.streams import HttpStream

FAREWELL_SECONDS = 6.0
"""For the goodbyes, when the device goes away."""
DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Os11Settings:
    """What a user can say about an OS 11 device beside its behaviour."""

    key_type: KeyType
    """Of its own certificate (G10); real devices have RSA 4096."""
    wish: Wish = field(default_factory=Wish)
    listen: str = "127.0.0.1"
    """Literal address on which it is called."""
    push_port: int = PUSH_PORT
    """0 takes any free one."""


class Os11Device(LivingDevice):
    """One simulated OS 11 device. `run` it."""

    _life: Os11DeviceLife
    _boot_phase = Phase.CONTACT  # there is no code of the vendor's for it, as there is for OS 12

    def __init__(
        self,
        persona: Persona,
        folder: DeviceFolder,
        target: HostPort | None,
        world: World,
        *,
        life: Os11DeviceLife,
        settings: Os11Settings,
        on_change: Callable[[Change], None],
        behaviour: DeviceBehaviour | None = None,
        on_happening: Callable[[Happening], None] = ignore,
        discovery: Discovery | None = None,
        nearby: Nowhere | None = None,
    ) -> None:
        """`target` is the address given by the user, or `discovery` finds one."""
        unit = make_unit(persona, folder, world, behaviour or DeviceBehaviour(), on_happening)
        super().__init__(unit, life, on_change, discovery=discovery, nearby=nearby)
        self._target = target
        self._settings = settings
        self._reports = Reports(unit)
        self._installer = Installer(unit, changed=self._report, in_effect=self._settings_in_effect)
        self._commands = Commands(
            unit, self._installer, depart=self.depart, renewal_due=lambda: False, renew=lambda: None
        )
        self._talking = Talking(
            unit,
            reports=self._reports,
            installer=self._installer,
            commands=self._commands,
            on_managed=self._all_said,
        )
        unit.errands = self._errand
        self._contacting = Contacting(unit, self._talking)
        self._pending: list[NetworkChanged | ReportDue | Deregistered] = []

    @property
    def push_port(self) -> int:
        """The port on which it listens; 0 before it does."""
        return self._contacting.push_port

    def network_changed(self) -> None:
        """A network adapter has changed: the device contacts its UMS (G3)."""
        self._unit.tell(Kind.NETWORK, "the network has changed (G3)")
        self._note(NetworkChanged())

    def cut(self) -> bool:
        """Break what is open; see `LivingDevice.cut`. The device contacts its UMS again (G3)."""
        fails = self._talking.abort() and self._life.state is not State.READY and not self.managed
        self._note(NetworkChanged())
        return fails

    # Booting.

    def _start_up(self) -> list[Command]:
        unit = self._unit
        document, installed = starting.start_up(unit)
        if unit.firmware.major >= 12:
            hint = "start it again with --firmware and what OS 12 needs: it comes on board over the web port (O6)"
            failure = Failure(Phase.CONTACT, Reason.REFUSED, "the device runs OS 12 from now on", hint)
            return self._life.handle(StepFailed(failure), unit.now())
        self._installer.begin_boot(document, installed)
        self._reports.begin_boot(installed)
        keeping.load_or_make_key(unit.folder, unit.world.entropy)  # so that damage is told now
        return self._life.handle(Os11Booted(registered=keeping.load_pin(unit.folder) is not None), unit.now())

    # Doing a step.

    async def _step(self, command: Command) -> list[Command]:
        step = self._register if command is Command.REGISTER else self._contact
        try:
            certificate = await self._listen()
            event = await step(certificate)
        except ListenError as error:
            hint = "choose another port with --push-port (0: any free one) or another address with --listen"
            event = StepFailed(Failure(_PHASES[command], Reason.BAD_ARGUMENTS, str(error), hint))
        except DAMAGE as error:
            event = StepFailed(explain_damage(_PHASES[command], error))
        if self._departure is not None and self._life.takes(type(self._departure)):
            return []  # which is more than any failure of a session that was closed for it
        commands = self._life.handle(event, self._unit.now())
        if isinstance(event, Contacted):
            self._contacted()
        else:
            self.managed = False
        return commands

    async def _listen(self) -> Certificate:
        """Be there for calls, if the device is not yet; return its own certificate.

        Raises `ListenError`, `CertificateError` and `OSError`.
        """
        unit, settings = self._unit, self._settings

        def make() -> Certificate:
            return keeping.load_or_make_certificate(unit.folder, settings.key_type, unit.utc())

        certificate = await unit.world.executor.run(make)
        if JOB not in unit.jobs:
            listening = Listening(
                unit,
                certificate,
                role=self._contacting.answering,
                called=self._called,
                answer_scan=self._nearby.answer_scan,
            )
            listener = await unit.world.network.listen(
                settings.listen, self._contacting.push_port or settings.push_port
            )
            self._contacting.push_port = listener.address.port
            listening.start(listener)
            unit.tell(Kind.LISTENING, f"listening on {listener.address}", port=self._contacting.push_port)
        return certificate

    # Registration.

    async def _register(self, certificate: Certificate) -> Os11Event:
        outcome: Os11Event | None = None

        async def attempt(target: HostPort, found: Found | None) -> Failure | None:
            nonlocal outcome
            talk = await self._register_at(target, found, certificate)
            if isinstance(talk, Failure):
                return talk
            outcome = self._judge(talk, Phase.CONTACT)
            return None

        if self._target is not None:
            failure = await attempt(self._target, None)
        else:
            assert self._discovery is not None  # noqa: S101 - a device is given one or the other
            failure = await self._discovery.try_each(self._unit, attempt, Phase.REGISTER)
        return outcome or StepFailed(failure or Failure(Phase.REGISTER, Reason.LOST, "the session ended"))

    async def _register_at(self, target: HostPort, found: Found | None, certificate: Certificate) -> Talk | Failure:
        unit = self._unit
        if found is not None and found.structure_tag and not unit.persona.structure_tag:
            unit.persona = msgspec.structs.replace(unit.persona, structure_tag=found.structure_tag)
            unit.folder.save_persona(unit.persona)
        done = partial(self._registered, target, found)
        wish = self._settings.wish
        if found is not None and not wish.user:
            wish = replace(wish, token=found.token())
        return await self._contacting.register_at(target, certificate, wish, done)

    async def _registered(self, target: HostPort, found: Found | None, presented: bytes, name: str) -> None:
        """Keep whom this device belongs to: the address first, then the pin, which makes it registered (G8)."""
        unit, source = self._unit, "" if found is None else found.source

        def keep() -> None:
            unit.folder.discovered.save(Discovered(address=str(target), source=source))
            keeping.save_pin(unit.folder, presented)

        await unit.world.executor.run(keep)
        self._life.handle(Registered(), unit.now())
        unit.connected_to = target
        text = f"registered at {target}" + (f" as {name}" if name else "") + "; its certificate is kept as server.crt"
        unit.tell(Kind.REGISTERED, text, address=str(target), name=name)
        self._tell()

    # Contacts.

    async def _contact(self, _: Certificate) -> Os11Event:
        self._pending = [event for event in self._pending if isinstance(event, Deregistered)]  # it is told now
        target = await self._locate()
        talk = target if isinstance(target, Failure) else await self._contacting.contact(target)
        return StepFailed(talk) if isinstance(talk, Failure) else self._judge(talk, Phase.CONTACT)

    async def _locate(self) -> HostPort | Failure:
        if self._target is not None or self._discovery is None:
            return self._target or PIN_GONE
        found = await self._discovery.find(self._unit, Phase.CONTACT)
        return found if isinstance(found, Failure) else found.targets[0]

    def _judge(self, talk: Talk, phase: Phase) -> Os11Event:
        if talk.told_deleted:
            return Deregistered()
        if talk.managed:
            return Contacted()
        if talk.refused is not None:
            return StepFailed(explain_refused(phase, talk.refused))
        return StepFailed(explain_end(phase, talk.closed))

    def _all_said(self) -> None:
        """The server knows what the device is, and the device what it is to have; the session lasts a little longer."""
        if self._life.state is State.CONTACTING and not self.managed:
            self.managed = True
            self._tell()

    def _contacted(self) -> None:
        """All is said: say when there will be more."""
        unit = self._unit
        self.managed = True
        per_day = unit.behaviour.sysinfo_changes_per_day
        moments = [self._reports.next_at(), inventory.next_info_change(unit.seed, unit.utc(), per_day)]
        waits = [max(0.0, (moment - unit.utc()).total_seconds()) + 0.001 for moment in moments if moment is not None]
        if unit.behaviour.network_changes_per_day:
            waits.append(DAY_SECONDS / unit.behaviour.network_changes_per_day * (0.5 + unit.chance.random()))
        self._life.report_at(unit.now() + min(waits) if waits else None)

    # Calls.

    async def _called(self, machine: AnsweringDevice, stream: HttpStream) -> None:
        talk = await self._talking.talk(machine, stream)
        if talk.told_deleted:
            self._note(Deregistered())

    def _errand(self, sha256: str) -> Errand:
        return file_errand(self._unit, self._talking.file_transfer_port, sha256)

    # What happens in between.

    def _note(self, event: NetworkChanged | ReportDue | Deregistered) -> None:
        if event not in self._pending:
            self._pending.append(event)
        self._ring()

    def _is_over(self) -> bool:
        return self._life.state is not State.READY and super()._is_over()

    async def _rest(self) -> list[Command]:
        for event in self._pending:
            if self._life.takes(type(event)):
                self._pending.remove(event)
                self.managed = self.managed and not isinstance(event, NetworkChanged)
                return self._life.handle(event, self._unit.now())
        return await super()._rest()

    def _report(self, topic: Topic) -> None:
        self._reports.changed(topic)
        if self._talking.conversation is not None:
            self._talking.conversation.flush()
        else:
            self._note(ReportDue())

    def _settings_in_effect(self) -> None:
        conversation = self._talking.conversation
        if conversation is not None:
            conversation.tell_system_information()
            conversation.flush()

    def _close(self, reason: str) -> None:
        self._talking.close(reason)

    async def _go(self, departure: Departure) -> list[Command]:
        with trio.move_on_after(FAREWELL_SECONDS):
            await self._talking.until_quiet()
        self.managed = False
        return await super()._go(departure)

    def _stopped(self) -> None:
        self._commands.stopped()
        self._pending.clear()


_PHASES = {Command.REGISTER: Phase.REGISTER, Command.CONTACT: Phase.CONTACT}
