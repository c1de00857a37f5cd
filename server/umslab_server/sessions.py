# SPDX-License-Identifier: Apache-2.0
"""Management sessions as the services see them: who may come in, what was said, who left."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from umslab_protocol.wire.close_codes import CloseCode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from umslab_protocol.machines.carrier import Closed
    from umslab_protocol.values.unit_id import UnitId
    from umslab_protocol.wire.close_codes import Refusal
    from umslab_protocol.wire.messages import Ack, Error, Hello, Message, Result
    from umslab_runtime.http import Peer
    from umslab_runtime.pump import SessionPump

MAX_UNANSWERED = 256

Answer: TypeAlias = "Ack | Error | Result"
OnAnswer: TypeAlias = "Callable[[Answer | None], None]"


@dataclass(frozen=True, slots=True)
class Admitted:
    """This device may open a session."""

    unit_id: UnitId
    known: bool = True
    """False: it was deleted and is let in only to be told so (L4)."""
    info_digest: str = ""
    """SHA-256 of what the registry last stored about the device; equal information is not stored again."""
    certificate: str = ""
    """SHA-256 of the certificate."""
    boot: str = ""
    """What its last hello said."""
    os11: bool = False
    """An OS 11 device: it has proved its key and has no such certificate, and the session does not last."""
    called: bool = False
    """This server has called it, on TCP 30005."""


@dataclass(frozen=True, slots=True)
class NotAdmitted:
    """It may not: answer this."""

    status: int
    refusal: Refusal
    message: str
    retry_after: float | None = None


class LiveSession:
    """One open management session."""

    __slots__ = (
        "_last_id",
        "_sent",
        "_waiting",
        "admitted",
        "info_digest",
        "pump",
        "session_id",
        "settings_sent",
        "told_deleted",
    )

    def __init__(
        self, admitted: Admitted, session_id: str, pump: SessionPump, sent: Counter[type] | None = None
    ) -> None:
        """`sent` counts the messages that the server sends, by type; all sessions share one."""
        self.admitted = admitted
        self.told_deleted = False
        self.info_digest = admitted.info_digest  # of what is stored now
        self.settings_sent = 0  # the greatest version that was sent in this session
        self.session_id = session_id
        self.pump = pump
        self._sent = Counter() if sent is None else sent
        self._last_id = 0
        self._waiting: dict[int, OnAnswer] | None = None  # made when needed: most sessions are idle

    @property
    def unit_id(self) -> UnitId:
        """Whose session it is."""
        return self.admitted.unit_id

    def send(self, message: Message) -> None:
        """Send a message; does nothing on a session that is closing."""
        if self.pump.is_open:
            self._say(message)

    def _say(self, message: Message) -> None:
        self._sent[type(message)] += 1
        self.pump.send(message)

    def order(self, make: Callable[[int], Message], on_answer: OnAnswer) -> bool:
        """Send a message that wants an answer; `make` gets its id. Tells whether it was sent.

        `on_answer` is called once: with the answer, or with None when the session ends before there is one. A device
        that leaves `MAX_UNANSWERED` messages unanswered is closed.
        """
        if not self.pump.is_open:
            return False
        if self._waiting is None:
            self._waiting = {}
        if len(self._waiting) >= MAX_UNANSWERED:
            self.close(CloseCode.POLICY, f"{MAX_UNANSWERED} messages are unanswered")
            return False
        self._last_id += 1
        self._waiting[self._last_id] = on_answer
        self._say(make(self._last_id))
        return True

    def answered(self, answer: Answer) -> None:
        """Take an answer of the device; one to nothing that was asked says nothing we could act on."""
        if self._waiting and answer.re is not None and (on_answer := self._waiting.pop(answer.re, None)):
            on_answer(answer)

    def forsake(self) -> None:
        """The session is over: tell all who wait for an answer."""
        waiting, self._waiting = self._waiting or {}, None
        for on_answer in waiting.values():
            on_answer(None)

    def close(self, code: CloseCode, reason: str) -> None:
        """Begin to close."""
        self.pump.close(code, reason)


Handler: TypeAlias = "Callable[[LiveSession, Any], Awaitable[None]]"
"""Takes one message of a device."""
OnGreeted: TypeAlias = "Callable[[LiveSession, Hello, bool], Awaitable[None]]"
"""Called after a hello; the flag tells whether the device has booted since it was last here."""


class SessionService(Protocol):
    """What the front of `ws-connect` asks of the services."""

    @property
    def sent(self) -> Counter[type]:
        """Messages sent in all sessions by type, without `welcome`; each session counts here."""
        ...

    async def admit(self, peer: Peer) -> Admitted | NotAdmitted:
        """Decide by the client certificate alone."""
        ...

    async def received(self, session: LiveSession, message: Message) -> None:
        """Handle one message; `hello` is the first. The next is not read before this returns."""
        ...

    def left(self, session: LiveSession, closed: Closed) -> None:
        """The session is over; called exactly once for each that was opened, also when the server is stopping."""
        ...
