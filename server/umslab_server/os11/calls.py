# SPDX-License-Identifier: Apache-2.0
"""TCP 30005: calls OS 11 devices when there is something to tell them (G1).

There is one connection a device at a time: whoever wants the device while it is being called, or in the call, uses the
same one. The device must present the very certificate it registered with (G12) and prove its key; this server proves it
too. A device that could not be reached, or whose call broke off, is left alone for `AWAY_SECONDS`, unless it calls.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import structlog
import trio

from umslab_certs.device_communication import is_pinned, read_pin
from umslab_certs.errors import CertificateError
from umslab_certs.tls import exact_context_12
from umslab_protocol.machines.os11_server import CallingServer
from umslab_protocol.wire.close_codes import CloseCode
from umslab_runtime.dial_tls import dial_tls
from umslab_runtime.network import DialError
from umslab_runtime.policy import TargetRefusedError
from umslab_runtime.tls import TLSError
from umslab_server.os11 import known
from umslab_server.os11.conversing import converse
from umslab_server.sessions import LiveSession
from umslab_server.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from umslab_protocol.machines.carrier import Closed
    from umslab_protocol.machines.os11_server import ServerSide
    from umslab_protocol.machines.session import Received
    from umslab_runtime.network import Network
    from umslab_runtime.session_host import SessionHost
    from umslab_runtime.tls import TLSStream
    from umslab_server.os11.known import Known
    from umslab_server.sessions import SessionService
    from umslab_server.store import Store, Writer

AWAY_SECONDS = 10.0
DIAL_SECONDS = 10.0
"""For the connection and its TLS handshake together."""
_MOST_AWAY = 20_000
_AS_USUAL = {CloseCode.NORMAL, CloseCode.GOING_AWAY, CloseCode.DEREGISTERED}

log = structlog.get_logger(__name__)


class _CallError(Exception):
    """A device cannot be called; the message says why."""


class _Call:
    """One call, from the dial to the end of the connection."""

    def __init__(self) -> None:
        self.session: LiveSession | None = None
        self.settled = trio.Event()
        """The device has greeted, or will not."""
        self.over = trio.Event()

    def begin(self, session: LiveSession) -> None:
        """The device has greeted, and the services have seen it."""
        self.session = session
        self.settled.set()


class Calls:
    """Calls devices; `session` is what `Reach` uses."""

    def __init__(
        self,
        store: Store,
        service: SessionService,
        network: Network,
        host: SessionHost,
        *,
        new_side: Callable[[], ServerSide],
        linger_seconds: float,
        check_time: bool,
    ) -> None:
        """`new_side` is asked once a call; `check_time` is whether OpenSSL judges certificate dates."""
        self._store = store
        self._service = service
        self._network = network
        self._host = host
        self._new_side = new_side
        self._linger_seconds = linger_seconds
        self._check_time = check_time
        self._jobs = host.jobs()
        self._calls: dict[str, _Call] = {}
        self._away: dict[str, float] = {}
        self._stopping = False

    def stop(self) -> None:
        """From now on nobody is called."""
        self._stopping = True

    async def drain(self) -> None:
        """Give up dialling, and wait until every call is over; when cancelled, break them off."""
        try:
            for unit_id in [unit_id for unit_id, call in self._calls.items() if call.session is None]:
                await self._jobs.stop(unit_id)
            while self._calls:
                await next(iter(self._calls.values())).over.wait()
        finally:
            await self._jobs.stop_all()

    async def session(self, unit_id: str) -> LiveSession | None:
        """Return the open session with a device, calling it if need be; None when it cannot be reached."""
        call = self._calls.get(unit_id)
        if call is not None and call.session is not None and not call.session.pump.is_open:
            await call.over.wait()  # one connection at a time
            call = self._calls.get(unit_id)
        if call is None:
            if self._stopping or self._is_away(unit_id):
                return None
            call = self._calls[unit_id] = _Call()
            self._jobs.start(unit_id, partial(self._carry, unit_id, call))
        await call.settled.wait()
        return call.session

    def heard_of(self, unit_id: str) -> None:
        """A device has called by itself: it is not away."""
        self._away.pop(unit_id, None)

    # One call.

    async def _carry(self, unit_id: str, call: _Call) -> None:
        failed: str | None = "the server ended the call"
        try:
            failed = await self._try(unit_id, call)
        except Exception:
            log.exception("defect: a call to a device ended by an error of ours", unit_id=unit_id)
        finally:
            if failed is not None:
                self._note_away(unit_id)
            del self._calls[unit_id]
            call.settled.set()
            call.over.set()

    async def _try(self, unit_id: str, call: _Call) -> str | None:
        """Carry a call to its end; returns why it failed, None when it did not."""
        try:
            found = await self._store.read(lambda connection: known.find(connection, unit_id))
        except StoreError as error:
            return str(error)
        if found is None:
            return "it is not registered as OS 11"
        try:
            stream = await self._dial(found)
        except _CallError as error:
            self._note_failed(found, str(error))
            return str(error)
        try:
            closed = await self._converse(found, stream, call)
        finally:
            with trio.move_on_after(DIAL_SECONDS, shield=True):
                await stream.aclose()
        if closed.code in _AS_USUAL and call.session is not None:
            return None
        if call.session is None:  # otherwise the session service has noted it
            self._note_failed(found, f"{closed.reason} ({closed.code})")
        return closed.reason or "the call broke off"

    async def _dial(self, found: Known) -> TLSStream:
        if found.address is None:
            raise _CallError("Found no IP address for device")  # WL6
        try:
            pin = read_pin(found.certificate)
            context = exact_context_12(pin, check_time=self._check_time)
            stream = await dial_tls(self._network, found.address, context, within=DIAL_SECONDS)
        except (CertificateError, DialError, TLSError, TargetRefusedError, trio.BrokenResourceError) as error:
            raise _CallError(str(error)) from None
        if not is_pinned(stream.peer_certificate, pin):
            stream.abort()
            raise _CallError("it presented another certificate than it registered with (G12)")
        return stream

    async def _converse(self, found: Known, stream: TLSStream, call: _Call) -> Closed:
        side = self._new_side()
        machine = CallingServer(
            side,
            unit_id=found.unit_id,
            key=found.key,
            now=self._host.clock.monotonic(),
            linger=self._linger_seconds,
        )
        pump = self._host.pump(machine, stream)

        async def begin(received: Received) -> LiveSession:
            del received
            self._note_reached(found)
            return LiveSession(found.admitted(called=True), side.session_id, pump, self._service.sent)

        return await converse(pump, self._service, begin, call.begin)

    # What is kept of it.

    def _is_away(self, unit_id: str) -> bool:
        until = self._away.get(unit_id)
        return until is not None and self._host.clock.monotonic() < until

    def _note_away(self, unit_id: str) -> None:
        self._away.pop(unit_id, None)
        self._away[unit_id] = self._host.clock.monotonic() + AWAY_SECONDS
        if len(self._away) > _MOST_AWAY:
            del self._away[next(iter(self._away))]

    def _note_failed(self, found: Known, why: str) -> None:
        def work(writer: Writer) -> None:
            address = None if found.address is None else str(found.address)
            writer.event("call-failed", actor="server", unit_id=found.unit_id, cause=why[:500], address=address)

        self._post(work)

    def _note_reached(self, found: Known) -> None:
        def work(writer: Writer) -> None:
            writer.event("device-called", actor="server", unit_id=found.unit_id, address=str(found.address))

        self._post(work)

    def _post(self, work: Callable[[Writer], None]) -> None:
        try:
            self._store.post(work)
        except StoreError as error:  # a full store loses a note, nothing that was promised
            log.warning("a call could not be noted", problem=str(error))
