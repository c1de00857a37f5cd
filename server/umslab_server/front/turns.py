# SPDX-License-Identifier: Apache-2.0
"""The service model between the network and the services: every request and message of a device waits for its turn.

Provenance: that a UMS with a full queue rejects requests is documented (section 9); how is ASSUMED (NP25): HTTP
requests get the model's status with Retry-After, an OS 11 device that registers or makes contact is refused as `busy`
with the same delay, a hello ends its session with 1013, other messages are answered by an error `busy`. Pages for
monitors, and the answers of devices, take no turn. A device that gives up while it waits keeps its turn: a server does
not know it either. An OS 11 device that waits longer than a greeting may take loses its connection.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from umslab_protocol.wire import paths
from umslab_protocol.wire.close_codes import REFUSAL_HEADER, CloseCode, Refusal
from umslab_protocol.wire.messages import Ack, Error, Hello, PullSettings, PushRuntime, PushSysinfo, Result
from umslab_runtime.http import retry_after, text_response
from umslab_runtime.latencies import Latencies
from umslab_server.service_model import ServiceQueue

if TYPE_CHECKING:
    from umslab_protocol.machines.carrier import Closed
    from umslab_protocol.wire.messages import Message
    from umslab_runtime.clock import Clock
    from umslab_runtime.http import Peer, Request, Response, Upgrade
    from umslab_server.front.routes import Handler
    from umslab_server.service_model import ServiceModel
    from umslab_server.sessions import Admitted, LiveSession, NotAdmitted, SessionService

QUEUE_FULL = "the request queue is full"

_REQUESTS = {
    "cacerts": "cacerts",
    "csrattrs": "cacerts",
    "simpleenroll": "enrol",
    "simplereenroll": "renew",
    paths.WS_CONNECT.rpartition("/")[2]: "connect",
    paths.REGISTRATION_TOKEN.rpartition("/")[2]: "token",
    "": "file",
}
"""The kind of a request by the last step of its path in the table; what is not here takes no turn."""
_MESSAGES = {Hello: "hello", PushSysinfo: "system_information", PullSettings: "settings", PushRuntime: "heartbeat"}
_ANSWERS = (Ack, Error, Result)


class Turns:
    """Gives out turns."""

    def __init__(self, model: ServiceModel, clock: Clock) -> None:
        self._model = model
        self._queue = ServiceQueue(model)
        self._clock = clock
        self.rejected: Counter[str] = Counter()
        """By kind."""
        self.waits = Latencies()
        """In the queue, before the service began."""

    @property
    def retry_after_seconds(self) -> float:
        """When who was rejected is to come back."""
        return self._model.retry_after_seconds

    @property
    def busy(self) -> int:
        """Workers at work now."""
        return self._queue.busy(self._clock.monotonic())

    @property
    def waiting(self) -> int:
        """Requests and messages in the queue now."""
        return self._queue.waiting(self._clock.monotonic())

    async def take(self, kind: str) -> bool:
        """Wait for a turn and until its time is over; False, at once: rejected."""
        now = self._clock.monotonic()
        turn = self._queue.arrive(kind, now)
        if turn is None:
            self.rejected[kind] += 1
            return False
        self.waits.record(turn.begins - now)
        await self._clock.sleep(turn.ends - now)
        return True

    def wrap(self, table: dict[str, dict[str, Handler]]) -> dict[str, dict[str, Handler]]:
        """Return a path table whose handlers wait for their turns."""
        return {
            path: {method: self._wrap(handler, path) for method, handler in methods.items()}
            for path, methods in table.items()
        }

    def _wrap(self, handler: Handler, path: str) -> Handler:
        kind = _REQUESTS.get(path.rpartition("/")[2])
        if kind is None:
            return handler
        headers = [retry_after(self._model.retry_after_seconds)]
        if path == paths.WS_CONNECT:
            headers.append((REFUSAL_HEADER, str(Refusal.BUSY)))
        rejection = text_response(self._model.reject_status, QUEUE_FULL, headers)

        async def wait_and_answer(request: Request, /) -> Response | Upgrade:
            return await handler(request) if await self.take(kind) else rejection

        return wait_and_answer


class QueuedSessions:
    """A session service whose messages wait for their turns; see `sessions.SessionService`."""

    def __init__(self, service: SessionService, turns: Turns) -> None:
        self._service = service
        self._turns = turns

    @property
    def sent(self) -> Counter[type]:
        """Messages to devices by type; what is sent takes no turn."""
        return self._service.sent

    async def admit(self, peer: Peer) -> Admitted | NotAdmitted:
        """Decide by the client certificate alone; the request has had its turn."""
        return await self._service.admit(peer)

    async def received(self, session: LiveSession, message: Message) -> None:
        """Handle one message when it is its turn; what is rejected is not handled."""
        kind = None if isinstance(message, _ANSWERS) else _MESSAGES.get(type(message), "report")
        if kind is None or await self._turns.take(kind):
            await self._service.received(session, message)
        elif isinstance(message, Hello):
            session.close(CloseCode.BUSY, QUEUE_FULL)
        else:
            session.send(Error(code="busy", message=QUEUE_FULL, re=getattr(message, "id", None)))

    def left(self, session: LiveSession, closed: Closed) -> None:
        """The session is over."""
        self._service.left(session, closed)
