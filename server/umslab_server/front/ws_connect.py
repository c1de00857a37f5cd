# SPDX-License-Identifier: Apache-2.0
"""`ws-connect`: from an HTTP request with a client certificate to a management session (facts E2, M2).

Provenance: the path and the client certificate are documented; statuses, the `Umslab-Refusal` header and the messages
are SIMULATED (NP6, NP18).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from umslab_protocol.machines.carrier import Closed
from umslab_protocol.machines.session_server import ServerSession, SessionRules
from umslab_protocol.wire.close_codes import REFUSAL_HEADER, CloseCode
from umslab_protocol.wire.messages import SUBPROTOCOL
from umslab_protocol.wire.websocket_opening import OpeningRefused, answer_opening
from umslab_runtime.http import Request, Response, Upgrade, retry_after, text_response
from umslab_server.sessions import LiveSession, NotAdmitted

if TYPE_CHECKING:
    from collections.abc import Callable

    from umslab_protocol.machines.session import Received
    from umslab_protocol.wire.codec import SessionCodec
    from umslab_runtime.session_host import SessionHost
    from umslab_runtime.streams import HttpStream
    from umslab_server.sessions import Admitted, SessionService


class WsConnect:
    """Serves GET on `ws-connect`."""

    def __init__(
        self,
        service: SessionService,
        host: SessionHost,
        *,
        codec: SessionCodec,
        rules: SessionRules,
        server_name: str,
        new_session_id: Callable[[], str],
    ) -> None:
        self._service = service
        self._host = host
        self._codec = codec
        self._rules = rules
        self._server_name = server_name
        self._new_session_id = new_session_id

    async def get(self, request: Request) -> Response | Upgrade:
        """Answer 101, or say why not; the certificate counts as used only for a request that does open a WebSocket."""
        headers: list[tuple[str, str]] = []
        if request.peer.certificate is not None:
            try:
                # Only GET opens a WebSocket (RFC 6455 section 4.1): a HEAD is answered as if it had not asked for one.
                asked = request.headers if request.method == "GET" else []
                headers = answer_opening(asked, (SUBPROTOCOL,))
            except OpeningRefused as refused:
                return text_response(refused.status, refused.reason, refused.headers)
        admitted = await self._service.admit(request.peer)
        if isinstance(admitted, NotAdmitted):
            return _refuse(admitted)
        return Upgrade(headers, partial(self._run, admitted))

    async def _run(self, admitted: Admitted, stream: HttpStream, first_bytes: bytes, /) -> None:
        session_id = self._new_session_id()
        machine = ServerSession(
            codec=self._codec,
            rules=self._rules,
            server_name=self._server_name,
            session_id=session_id,
            now=self._host.clock.monotonic(),
        )
        session = LiveSession(admitted, session_id, self._host.pump(machine, stream), self._service.sent)
        service = self._service

        async def on_received(received: Received) -> None:
            await service.received(session, received.message)

        closed = Closed(CloseCode.ABNORMAL, "the server ended the connection", by_peer=False)
        try:
            closed = await session.pump.run(first_bytes, on_received)
        finally:
            service.left(session, closed)


def _refuse(refused: NotAdmitted) -> Response:
    headers = [(REFUSAL_HEADER, str(refused.refusal))]
    if refused.retry_after is not None:
        headers.append(retry_after(refused.retry_after))
    return text_response(refused.status, refused.message, headers)
