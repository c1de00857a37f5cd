# SPDX-License-Identifier: Apache-2.0
"""Carries an OS 11 conversation: a greeting that must be decided about, then a session like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab_protocol.machines.carrier import Closed
from umslab_protocol.wire.close_codes import CloseCode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from umslab_protocol.machines.session import Received
    from umslab_runtime.pump import SessionPump
    from umslab_server.sessions import LiveSession, SessionService


async def converse(
    pump: SessionPump,
    service: SessionService,
    begin: Callable[[Received], Awaitable[LiveSession | None]],
    begun: Callable[[LiveSession], None],
) -> Closed:
    """Carry it to its end and tell how it ended; the caller closes the stream.

    `begin` decides about the greeting and returns the session, None when the machine has been told to refuse; `begun`
    is told of a session whose hello the services have seen.
    """
    session: LiveSession | None = None

    async def on_received(received: Received) -> None:
        nonlocal session
        if session is not None:
            await service.received(session, received.message)
            return
        session = await begin(received)
        if session is not None:
            await service.received(session, received.message)
            begun(session)

    closed = Closed(CloseCode.ABNORMAL, "the server ended the connection", by_peer=False)
    try:
        closed = await pump.run(b"", on_received)
    finally:
        if session is not None:
            service.left(session, closed)
    return closed
