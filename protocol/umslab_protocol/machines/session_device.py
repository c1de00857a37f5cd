# SPDX-License-Identifier: Apache-2.0
"""The device's role of a management session: say `hello`, take `welcome`, then exchange messages.

Mirror: session_server.py. The device sends no pings of its own; it gives up when it has heard nothing for as long as
the server's pings should have taken, so that both sides notice a dead path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab_protocol.machines.session import Received, SessionEvent, SessionMachine
from umslab_protocol.machines.websocket import KeepAlive, Role, WebSocketMachine
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.messages import FROM_SERVER, MAX_MESSAGE_BYTES, VERSIONS, Hello, Message, Welcome

if TYPE_CHECKING:
    from umslab_protocol.wire.codec import SessionCodec

WELCOME_WITHIN = 30.0
PATIENCE = 2.0
"""How many of the server's ping intervals of silence a device bears."""


class DeviceSession(SessionMachine):
    """A device's session; says hello by itself."""

    __slots__ = ("_silence_limit",)

    peer_may_send = FROM_SERVER

    def __init__(self, *, codec: SessionCodec, hello: Hello, now: float) -> None:
        carrier = WebSocketMachine(
            Role.CLIENT,
            max_message_bytes=MAX_MESSAGE_BYTES,
            keep_alive=KeepAlive(ping_after=None, answer_within=0.0),
            now=now,
        )
        super().__init__(carrier, codec=codec, greet_within=WELCOME_WITHIN, now=now)
        self._silence_limit: float | None = None
        self.send(hello)

    def deadline(self) -> float | None:
        """When to call `on_deadline`; None for never."""
        if self.is_open and self._silence_limit is not None:
            return self._carrier.heard_at + self._silence_limit
        return super().deadline()

    def on_deadline(self, now: float) -> None:
        """Give up on a server that has fallen silent."""
        if self.is_open and self._silence_limit is not None:
            if now >= self._carrier.heard_at + self._silence_limit:
                self.close(CloseCode.SILENT, "the server has fallen silent", now)
        else:
            super().on_deadline(now)

    def _greet(self, message: Message, now: float) -> SessionEvent | None:
        if not isinstance(message, Welcome) or message.version not in VERSIONS:
            self.close(CloseCode.PROTOCOL_ERROR, "expected a welcome in a version we offered", now)
            return None
        self._greeted = True
        if message.pingSeconds > 0:
            self._silence_limit = max(1.0, PATIENCE * message.pingSeconds)
        return Received(message)
