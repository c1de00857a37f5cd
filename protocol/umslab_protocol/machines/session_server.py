# SPDX-License-Identifier: Apache-2.0
"""The server's role of a management session: wait for `hello`, answer `welcome`, then exchange messages.

Mirror: session_device.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from umslab_protocol.machines.session import Received, SessionEvent, SessionMachine
from umslab_protocol.machines.websocket import KeepAlive, Role, WebSocketMachine
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.messages import (
    DEFAULT_PING_SECONDS,
    FROM_DEVICE,
    MAX_MESSAGE_BYTES,
    VERSIONS,
    Heartbeat,
    Hello,
    Message,
    Welcome,
)

if TYPE_CHECKING:
    from umslab_protocol.wire.codec import SessionCodec


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRules:
    """What a server demands of its sessions; seconds and bytes."""

    hello_within: float = 10.0
    ping_after: float = DEFAULT_PING_SECONDS
    pong_within: float = 30.0
    max_message_bytes: int = MAX_MESSAGE_BYTES
    heartbeat: Heartbeat | None = None
    file_transfer_port: int = 0
    """Told to OS 11 devices; 0 for 30003."""


class ServerSession(SessionMachine):
    """One device's session as the server sees it."""

    __slots__ = ("_rules", "_server_name", "_session_id")

    peer_may_send = FROM_DEVICE

    def __init__(
        self, *, codec: SessionCodec, rules: SessionRules, server_name: str, session_id: str, now: float
    ) -> None:
        carrier = WebSocketMachine(
            Role.SERVER,
            max_message_bytes=rules.max_message_bytes,
            keep_alive=KeepAlive(ping_after=rules.ping_after, answer_within=rules.pong_within),
            now=now,
        )
        super().__init__(carrier, codec=codec, greet_within=rules.hello_within, now=now)
        self._rules = rules
        self._server_name = server_name
        self._session_id = session_id

    def _greet(self, message: Message, now: float) -> SessionEvent | None:
        if not isinstance(message, Hello):
            self._misplaced(message, "out-of-order", "a session begins with hello", now)
            self.close(CloseCode.PROTOCOL_ERROR, "a session begins with hello", now)
            return None
        common = [version for version in VERSIONS if version in message.versions]
        if not common:
            spoken = ", ".join(map(str, VERSIONS))
            self.close(CloseCode.VERSION, f"no version in common: this server speaks {spoken}", now)
            return None
        self._greeted = True
        self._answer(
            Welcome(
                version=max(common),
                server=self._server_name,
                session=self._session_id,
                pingSeconds=self._rules.ping_after,
                maxMessageBytes=self._rules.max_message_bytes,
                heartbeat=self._rules.heartbeat,
            )
        )
        return Received(message)
