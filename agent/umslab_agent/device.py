# SPDX-License-Identifier: Apache-2.0
"""Drives one device through its life: does what `DeviceLife` commands, and tells it how that went.

One task per device. While the device is online that task carries the session; the daily look at the certificate comes
from the shared timers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import trio

from umslab_agent.explain import ERRORS, explain, explain_close, explain_session_refusal
from umslab_agent.link import Link, SessionRefused, TlsIdentity, open_link
from umslab_agent.onboarding import Onboarding
from umslab_certs.errors import CertificateError
from umslab_certs.keys import check_strength, key_type
from umslab_certs.tls import use_identity
from umslab_protocol.machines.device_life import (
    Booted,
    Command,
    Connected,
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
from umslab_protocol.values.unit_id import UnitId
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.messages import Ack, Deregister, Message, UpdateDeviceInfo, Welcome
from umslab_runtime.http_client import close_quietly

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from cryptography.x509 import Certificate

    from umslab_agent.folder import DeviceFolder
    from umslab_agent.onboarding import World
    from umslab_agent.persona import Persona
    from umslab_agent.trust import TrustMode
    from umslab_certs.keys import KeyType
    from umslab_protocol.machines.device_life import Event
    from umslab_protocol.machines.session import Received
    from umslab_protocol.machines.websocket import Closed
    from umslab_protocol.values.host_port import HostPort

RENEW_BEFORE = timedelta(days=30)  # X8
_INFO_ID = 1


@dataclass(frozen=True, slots=True)
class Change:
    """Something a watcher may want to know."""

    state: State
    managed: bool
    """Online, and the server has acknowledged the device's information."""
    failure: Failure | None
    wait: float | None
    """Seconds until the next try, while waiting."""


class Device:
    """One simulated device. `run` it."""

    def __init__(
        self,
        persona: Persona,
        folder: DeviceFolder,
        target: HostPort,
        world: World,
        *,
        life: DeviceLife,
        trust_mode: TrustMode,
        auth_key: str | None,
        key_type: KeyType,
        on_change: Callable[[Change], None],
    ) -> None:
        self.persona = persona
        self.state = State.OFF
        self.managed = False
        self._folder = folder
        self._target = target
        self._world = world
        self._life = life
        self._onboarding = Onboarding(
            persona, folder, target, world, trust_mode=trust_mode, auth_key=auth_key, key_type=key_type
        )
        self._on_change = on_change
        self._link: Link | None = None
        self._told_deleted = False

    @property
    def failure(self) -> Failure | None:
        """The last failure."""
        return self._life.failure

    async def run(self) -> State:
        """Live until the end (`released`, or `failed` where the policy allows no other try), or until cancelled."""
        try:
            commands = self._life.handle(self._boot(), self._now())
        except CertificateError as error:
            failure = Failure(Phase.START, Reason.STATE_DAMAGED, str(error), "restore the folder, or start a new one")
            commands = self._life.handle(StepFailed(failure), self._now())
        while True:
            self._tell()
            if Command.FORGET in commands:
                self._folder.forget()
            if self._life.state in {State.FAILED, State.RELEASED}:
                return self._life.state
            if commands:
                event = await self._do(commands[0])
                commands = [Command.RENEW] if event is None else self._life.handle(event, self._now())
            else:
                await trio.sleep_until(self._life.deadline() or 0.0)
                commands = self._life.on_deadline(self._now())

    def _boot(self) -> Booted:
        self._folder.drop_finished_request()
        certificate = self._folder.load_identity()
        roots, _ = self._folder.load_trust()
        return Booted(
            enrolled=certificate is not None and bool(roots),
            trusted=bool(roots),
            request_pending=self._folder.load_request() is not None,
            renewal_due=certificate is not None and self._is_renewal_due(certificate),
        )

    async def _do(self, command: Command) -> Event | None:
        """Do a step; None means that the session was closed in order to renew."""
        match command:
            case Command.ESTABLISH_TRUST:
                return await self._onboarding_step(self._onboarding.establish_trust, TrustEstablished())
            case Command.PREPARE_REQUEST:
                return await self._onboarding_step(self._onboarding.prepare_request, RequestReady())
            case Command.ENROL:
                return await self._onboarding_step(self._onboarding.enrol, Enrolled())
            case Command.RENEW:
                return await self._onboarding_step(self._onboarding.renew, Enrolled())
            case _:
                return await self._connect()

    async def _onboarding_step(self, step: Callable[[], Awaitable[Failure | None]], done: Event) -> Event:
        failure = await step()
        return done if failure is None else StepFailed(failure)

    # The session.

    async def _connect(self) -> Event | None:
        try:
            link = await self._open()
        except SessionRefused as refused:
            return StepFailed(explain_session_refusal(refused.response))
        except (trio.BrokenResourceError, *ERRORS) as error:
            return StepFailed(explain(Phase.CONNECT, error))
        self._link = link
        try:
            closed = await link.pump.run(link.first_bytes, self._received)
        finally:
            self._world.host.timers.forget(self)
            self._link, self.managed = None, False
            await close_quietly(link.stream)
        return self._after(closed)

    async def _open(self) -> Link:
        certificate = self._folder.load_identity()
        roots, intermediates = self._folder.load_trust()
        if certificate is None:
            raise OSError("there is no identity to connect with")
        kind = key_type(check_strength(certificate.public_key()))
        context = self._world.contexts.pinned(roots, intermediates, kind)
        return await open_link(
            self._world.network,
            self._target,
            TlsIdentity(context, lambda: use_identity(context, self._folder.identity_file)),
            unit_id=UnitId(self.persona.unit_id),
            firmware=self.persona.firmware,
            key=self._world.entropy(16),
            codec=self._world.codec,
            host=self._world.host,
            tap=self._world.tap,
        )

    async def _received(self, received: Received) -> None:
        message: Message = received.message
        match message:
            case Welcome():
                self._life.handle(Connected(), self._now())
                self._world.host.timers.watch(self)
                self._send(UpdateDeviceInfo(id=_INFO_ID, info=self.persona.device_info()))
                self._tell()
            case Ack(re=re) if re == _INFO_ID:
                self.managed = True
                self._tell()
            case Deregister():
                self._send(Ack(re=message.id))
                self._told_deleted = True
            case _:
                pass  # an answer to nothing we asked

    def _send(self, message: Message) -> None:
        if self._link is not None and self._link.pump.is_open:
            self._link.pump.send(message)

    def _after(self, closed: Closed) -> Event | None:
        if self._told_deleted and self._life.state is State.ONLINE:
            return Deregistered()
        if self._life.state is State.RENEWING:
            return None
        failure = explain_close(closed)
        return Disconnected(failure) if self._life.state is State.ONLINE else StepFailed(failure)

    # The daily look at the certificate, called by the timers.

    def deadline(self) -> float | None:
        """When the certificate is looked at again."""
        return self._life.deadline()

    def wake(self) -> None:
        """Look at it; a renewal that is due closes the session, renews, and comes back."""
        if Command.CHECK_RENEWAL not in self._life.on_deadline(self._now()):
            return
        try:
            certificate = self._folder.load_identity()
        except CertificateError:
            certificate = None
        due = certificate is not None and self._is_renewal_due(certificate)
        if self._life.handle(RenewalChecked(due=due), self._now()) and self._link is not None:
            self._link.pump.close(CloseCode.NORMAL, "renewing the certificate")

    def _is_renewal_due(self, certificate: Certificate) -> bool:
        lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
        left = certificate.not_valid_after_utc - self._world.clock.utc()
        return left < min(RENEW_BEFORE, lifetime / 3)

    def _now(self) -> float:
        return self._world.clock.monotonic()

    def _tell(self) -> None:
        self.state = self._life.state
        deadline = self._life.deadline() if self.state is State.WAITING else None
        wait = None if deadline is None else max(0.0, deadline - self._now())
        self._on_change(Change(self.state, self.managed, self._life.failure, wait))
