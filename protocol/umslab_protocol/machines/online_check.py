# SPDX-License-Identifier: Apache-2.0
"""The online check: asks devices whether they are there, one sweep after the other (N2, N4, N7).

A sweep keeps a window of unanswered probes rather than a rate: as many are under way as `parallel` says, and each
answer, or the end of its timeout, makes room for the next. A device is there when, in time, an answer came from the
address that was asked, with the unit ID that was asked and the nonce of that probe. All other answers are counted by
what they are and change nothing. Whoever has not answered any of its tries is missed.

Bounded memory: what is kept of a sweep is one entry a probe. Sweeps that are over are remembered for a while, by number
of probes, so that late answers are known for what they are. No answer makes anything be kept.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from umslab_protocol.errors import LocalProtocolError, RemoteProtocolError
from umslab_protocol.wire.probes import NONCE_BYTES, read_online_answer, write_online_check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from umslab_protocol.values.unit_id import UnitId

MAX_TARGETS = 100_000
REMEMBERED_SWEEPS = 8
REMEMBERED_PROBES = 32_768
"""Of sweeps that are over; the one before is remembered whatever its size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRules:
    """How is asked."""

    timeout_seconds: float = 1.0
    """From a probe to its answer: 0.1-10 (N2)."""
    tries: int = 1
    """Probes without an answer after which a device is missed; the vendor sends one (N4)."""
    parallel: int = 1000
    """Probes under way at the same time (N7; the vendor's default is not published)."""


class Verdict(StrEnum):
    """What an answer is."""

    GOOD = "good"
    LATE = "late"
    """It answers a probe whose timeout was over."""
    DUPLICATE = "duplicate"
    """It answers what was answered already."""
    WRONG_SOURCE = "wrong-source"
    """It comes from another address than the one that was asked."""
    STRANGER = "stranger"
    """It comes from a device that was not asked, or another one than was asked there."""
    FORGED = "forged"
    """It names a device that was asked, but no nonce that was sent to it."""
    MALFORMED = "malformed"

    __hash__ = str.__hash__  # that of an Enum is slow, and answers are counted ten thousand at a time


class Target(NamedTuple):
    """One device, and where it is to be."""

    unit_id: UnitId
    host: str
    """A literal address."""
    port: int


class Question(NamedTuple):
    """A probe to send."""

    payload: bytes
    target: Target
    nonce: bytes


class Reached(NamedTuple):
    """A device has answered."""

    unit_id: UnitId
    seconds: float
    """From the probe to its answer."""


class Missed(NamedTuple):
    """A device has let all its tries go unanswered."""

    unit_id: UnitId


class Skipped(NamedTuple):
    """A device was not asked, so nothing is known of it."""

    unit_id: UnitId
    why: str


CheckEvent = Reached | Missed | Skipped


class _Flight:
    """One probe."""

    __slots__ = ("sent_at", "target", "tries_left", "verdict")

    def __init__(self, target: Target, tries_left: int, sent_at: float) -> None:
        self.target = target
        self.tries_left = tries_left
        self.sent_at = sent_at
        self.verdict: Verdict | None = None
        """What one more answer would be; None while the first is waited for."""


class OnlineCheck:
    """See the module's docstring. `begin` a sweep; when it is `over`, the next."""

    def __init__(self, rules: CheckRules, *, reply_port: int, entropy: Callable[[int], bytes]) -> None:
        """`reply_port` is told to devices (N13; 0: answer where it came from); `entropy` gives that many random bytes.

        Nobody may be able to guess them: they are what tells an answer from a forgery.
        """
        self.rules = rules
        self.verdicts: Counter[Verdict] = Counter()
        self.probes = 0
        """Sent since the beginning, in all sweeps."""
        self._reply_port = reply_port
        self._entropy = entropy
        self._to_ask: deque[tuple[Target, int]] = deque()
        """With how many tries each has left."""
        self._under_way: deque[_Flight] = deque()
        """In the order in which they were sent, which is that of their deadlines; answered ones are passed over."""
        self._open = 0
        self._flights: dict[bytes, _Flight] = {}
        self._older: deque[dict[bytes, _Flight]] = deque()
        """Of sweeps that are over, the latest first."""
        self._asked: set[UnitId] = set()
        self._asked_before: set[UnitId] = set()
        self._events: list[CheckEvent] = []

    @property
    def over(self) -> bool:
        """Whether nothing is asked or waited for."""
        return not self._to_ask and not self._open

    @property
    def under_way(self) -> int:
        """Unanswered probes."""
        return self._open

    @property
    def has_output(self) -> bool:
        """Whether there is somebody to ask, and room in the window."""
        return bool(self._to_ask) and self._open < self.rules.parallel

    def begin(self, targets: Iterable[Target]) -> None:
        """Begin a sweep. Raises `LocalProtocolError` during another, and for too many targets or one that is twice."""
        if not self.over:
            raise LocalProtocolError("a sweep is under way: it must be over before the next begins")
        queue = deque((target, self.rules.tries) for target in targets)
        asked = {target.unit_id for target, _ in queue}
        if len(asked) != len(queue) or len(queue) > MAX_TARGETS:
            raise LocalProtocolError(f"a sweep asks each device once, and at most {MAX_TARGETS}")
        self._remember(self._flights)
        self._flights = {}
        self._asked_before, self._asked = self._asked, asked
        self._under_way.clear()
        self._to_ask = queue

    def stop(self) -> None:
        """Ask no more; what is under way is neither reached nor missed."""
        self._to_ask.clear()
        while self._under_way:
            self._settle(self._under_way.popleft(), Verdict.LATE)

    def output(self, now: float, most: int) -> list[Question]:
        """Return probes to send now, as many as the window has room for, and at most so many."""
        count = min(self.rules.parallel - self._open, len(self._to_ask), most)
        if count <= 0:
            return []
        pool = self._entropy(NONCE_BYTES * count)
        questions: list[Question] = []
        for at in range(0, len(pool), NONCE_BYTES):
            nonce = pool[at : at + NONCE_BYTES]
            target, tries = self._to_ask.popleft()
            flight = self._flights[nonce] = _Flight(target, tries - 1, now)
            self._under_way.append(flight)
            questions.append(Question(write_online_check(target.unit_id, nonce, self._reply_port), target, nonce))
        self._open += count
        self.probes += count
        return questions

    def withdraw(self, question: Question, why: str) -> None:
        """A probe may not be sent: its device is skipped, which is no state."""
        self._settle(self._flights.pop(question.nonce), Verdict.STRANGER)
        self.probes -= 1
        self._events.append(Skipped(question.target.unit_id, why))

    def receive(self, payload: bytes, host: str, now: float) -> Verdict:
        """Take an answer that came from this address; say what it is."""
        verdict = self._judge(payload, host, now)
        self.verdicts[verdict] += 1
        return verdict

    def events(self) -> list[CheckEvent]:
        """Return what has become known since, in order: thousands at a time, so not one by one."""
        events, self._events = self._events, []
        return events

    def deadline(self) -> float | None:
        """When the oldest unanswered probe is given up."""
        while self._under_way and self._under_way[0].verdict is not None:
            self._under_way.popleft()
        return self._under_way[0].sent_at + self.rules.timeout_seconds if self._under_way else None

    def on_deadline(self, now: float) -> None:
        """Give up what was not answered in time. Take in what has arrived before: that was not late."""
        while (deadline := self.deadline()) is not None and deadline <= now:
            flight = self._under_way.popleft()
            self._settle(flight, Verdict.LATE)
            if flight.tries_left:
                self._to_ask.append((flight.target, flight.tries_left))
            else:
                self._events.append(Missed(flight.target.unit_id))

    def _judge(self, payload: bytes, host: str, now: float) -> Verdict:
        try:
            nonce, unit_id = read_online_answer(payload)
        except RemoteProtocolError:
            return Verdict.MALFORMED
        flight = self._flights.get(nonce) or self._find_older(nonce)
        if flight is None:
            return Verdict.FORGED if unit_id in self._asked or unit_id in self._asked_before else Verdict.STRANGER
        if flight.target.unit_id != unit_id:
            return Verdict.STRANGER
        if flight.target.host != host:
            return Verdict.WRONG_SOURCE
        verdict = flight.verdict or Verdict.GOOD
        if verdict is Verdict.GOOD:
            self._settle(flight, Verdict.DUPLICATE)
            self._events.append(Reached(unit_id, now - flight.sent_at))
        flight.verdict = Verdict.DUPLICATE
        return verdict

    def _find_older(self, nonce: bytes) -> _Flight | None:
        for flights in self._older:
            if nonce in flights:
                return flights[nonce]
        return None

    def _remember(self, flights: dict[bytes, _Flight]) -> None:
        if flights:
            self._older.appendleft(flights)
        while len(self._older) > 1 and (
            len(self._older) > REMEMBERED_SWEEPS or sum(map(len, self._older)) > REMEMBERED_PROBES
        ):
            self._older.pop()

    def _settle(self, flight: _Flight, verdict: Verdict) -> None:
        """This probe is waited for no longer."""
        if flight.verdict is None:
            flight.verdict = verdict
            self._open -= 1
