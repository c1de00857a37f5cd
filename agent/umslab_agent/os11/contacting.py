# SPDX-License-Identifier: Apache-2.0
"""One contact of an OS 11 device with a server on TCP 30001, and its part in a call on TCP 30005 (facts G1, G8-G12).

What the server presents is compared with the pin whole, in the handshake and once more after it. Only a registration
takes a server whose certificate the device does not know: user and password go to whoever answers there, as they do on
the real registration tool (A9), so a first registration belongs on a network that is trusted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from umslab_agent import starting
from umslab_agent.explain import ERRORS
from umslab_agent.os11 import keeping
from umslab_agent.os11.explaining import explain_end, explain_error, explain_refused, pin_mismatch
from umslab_agent.os11.registering import make_register
from umslab_certs.device_communication import is_pinned
from umslab_protocol.machines.os11_device import AnsweringDevice, CallingDevice, RegistrationDone
from umslab_protocol.values.failure import Failure, Phase, Reason
from umslab_protocol.values.unit_id import UnitId
from umslab_protocol.wire.os11 import NONCE_BYTES
from umslab_runtime.dial_tls import dial_tls
from umslab_runtime.http_client import close_quietly

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from cryptography.x509 import Certificate

    from umslab_agent.os11.registering import Wish
    from umslab_agent.os11.talking import Talk, Talking
    from umslab_agent.unit import Unit
    from umslab_protocol.machines.session import Received
    from umslab_protocol.values.device_key import DeviceKey
    from umslab_protocol.values.host_port import HostPort
    from umslab_protocol.wire.os11 import Register
    from umslab_runtime.tls import TLSStream
    from umslab_runtime.tracing import TracedStep

PIN_GONE = Failure(Phase.CONTACT, Reason.STATE_DAMAGED, "server.crt is not there any more", "start the device again")


class Contacting:
    """Begins the sessions of one device; `talking` carries them."""

    def __init__(self, unit: Unit, talking: Talking) -> None:
        self.push_port = 0
        """Where the device listens."""
        self._unit = unit
        self._talking = talking

    async def register_at(
        self,
        target: HostPort,
        certificate: Certificate,
        wish: Wish,
        done: Callable[[bytes, str], Awaitable[None]],
    ) -> Talk | Failure:
        """Ask to be registered, and go on with the session when that was granted.

        `done` gets the certificate that the server presented, as DER, and the device's new name, before anything else
        is heeded; what it raises is passed on.
        """
        unit = self._unit
        stream = await self._dial(Phase.REGISTER, target, unit.world.contexts.registering())
        if isinstance(stream, Failure):
            return stream
        presented, secured_at = stream.peer_certificate or b"", unit.now()
        is_done = False

        async def opened(received: Received) -> None:
            nonlocal is_done
            if isinstance(received, RegistrationDone):
                self._trace("register", secured_at)
                await done(presented, received.name)
                is_done = True

        register = make_register(
            unit.persona, starting.make_hello(unit), self._key(), certificate, wish, push_port=self.push_port
        )
        talk = await self._talking.talk(self._calling(register), stream, opened)
        if is_done:
            return talk
        if talk.refused is not None:
            return explain_refused(Phase.REGISTER, talk.refused)
        return explain_end(Phase.REGISTER, talk.closed)

    async def contact(self, target: HostPort) -> Talk | Failure:
        """Contact the server whose certificate the device keeps. Raises `DeviceFolderError` and `OSError`."""
        unit = self._unit
        pin = keeping.load_pin(unit.folder)
        if pin is None:
            return PIN_GONE
        stream = await self._dial(Phase.CONTACT, target, unit.world.contexts.exact(pin))
        if isinstance(stream, Failure):
            return stream
        if not is_pinned(stream.peer_certificate, pin):
            await close_quietly(stream)
            return pin_mismatch(Phase.CONTACT, target)
        unit.connected_to, secured_at = target, unit.now()

        async def opened(_: Received) -> None:
            self._trace("contact", secured_at)

        return await self._talking.talk(self._calling(None), stream, opened)

    def answering(self) -> AnsweringDevice:
        """Return the machine for the next call. Raises `DeviceFolderError` and `OSError`."""
        unit = self._unit
        return AnsweringDevice(
            codec=unit.world.codec,
            hello=starting.make_hello(unit),
            key=self._key(),
            nonce=unit.world.entropy(NONCE_BYTES),
            now=unit.now(),
        )

    def _calling(self, register: Register | None) -> CallingDevice:
        unit = self._unit
        return CallingDevice(
            codec=unit.world.codec,
            hello=starting.make_hello(unit) if register is None else register.hello,
            key=self._key(),
            nonce=unit.world.entropy(NONCE_BYTES),
            register=register,
            push_port=self.push_port,
            now=unit.now(),
        )

    def _trace(self, step: TracedStep, began: float) -> None:
        if self._unit.world.trace is not None:
            self._unit.world.trace(step, began)

    def _key(self) -> DeviceKey:
        return keeping.load_or_make_key(self._unit.folder, self._unit.world.entropy)

    async def _dial(self, phase: Phase, target: HostPort, context: ssl.SSLContext) -> TLSStream | Failure:
        unit = self._unit
        within, unit_id = unit.parameters.connect_timeout, UnitId(unit.persona.unit_id)
        try:
            return await dial_tls(
                unit.world.network, target, context, within=within, unit_id=unit_id, trace=unit.world.trace
            )
        except (trio.BrokenResourceError, *ERRORS) as error:
            return explain_error(phase, error, target)
