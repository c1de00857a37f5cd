# SPDX-License-Identifier: Apache-2.0
"""A scan for devices: asks everybody at once, or each address of ranges, and listens for a while (N11, N12).

All probes of a scan have the same nonce. A broadcast is one probe; ranges are asked one address after the other, as
fast as the socket takes them. The scan is over so long after the last probe, whoever has answered by then.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from umslab_protocol.errors import RemoteProtocolError
from umslab_protocol.wire.probes import NONCE_BYTES, read_scan_answer, write_scan

if TYPE_CHECKING:
    from collections.abc import Iterable

    from umslab_protocol.values.unit_id import UnitId
    from umslab_protocol.wire.probes import ScanAnswer

DEFAULT_SECONDS = 6.0
"""N11."""
MAX_FOUND = 100_000


class ScanVerdict(StrEnum):
    """What an answer is."""

    NEW = "new"
    """A device that has not answered this scan before."""
    DUPLICATE = "duplicate"
    ELSEWHERE = "elsewhere"
    """A device that has answered before, from another address: two interfaces, or two devices with one unit ID."""
    FORGED = "forged"
    """Not the nonce of this scan."""
    MALFORMED = "malformed"
    SURPLUS = "surplus"
    """More devices than one scan keeps."""


class ScanProbe(NamedTuple):
    """A probe to send."""

    payload: bytes
    host: str


@dataclass(frozen=True, slots=True)
class FoundDevice:
    """A device that has answered, and from where."""

    answer: ScanAnswer
    host: str


class Scan:
    """One scan; see the module's docstring."""

    def __init__(
        self, hosts: Iterable[str], *, nonce: bytes, reply_port: int, seconds: float = DEFAULT_SECONDS
    ) -> None:
        """`hosts` are literal addresses, 255.255.255.255 among them for everybody on the link."""
        if len(nonce) != NONCE_BYTES:
            raise ValueError(f"a nonce has {NONCE_BYTES} bytes")
        self.found: dict[UnitId, FoundDevice] = {}
        self.verdicts: Counter[ScanVerdict] = Counter()
        self.refused: dict[str, str] = {}
        """Addresses that may not be asked, and why."""
        self.nonce = nonce
        self._payload = write_scan(nonce, reply_port)
        self._seconds = seconds
        self._to_ask = deque(hosts)
        self._last_sent: float | None = None

    @property
    def has_output(self) -> bool:
        """Whether there are more to ask."""
        return bool(self._to_ask)

    @property
    def left(self) -> int:
        """How many addresses are still to be asked."""
        return len(self._to_ask)

    def output(self, now: float, most: int) -> list[ScanProbe]:
        """Return probes to send now, at most so many."""
        probes = [ScanProbe(self._payload, self._to_ask.popleft()) for _ in range(min(most, len(self._to_ask)))]
        if probes:
            self._last_sent = now
        return probes

    def withdraw(self, probe: ScanProbe, why: str) -> None:
        """A probe may not be sent."""
        self.refused[probe.host] = why

    def receive(self, payload: bytes, host: str) -> ScanVerdict:
        """Take an answer that came from this address; say what it is."""
        verdict = self._judge(payload, host)
        self.verdicts[verdict] += 1
        return verdict

    def deadline(self) -> float | None:
        """When the scan is over; None while it still asks."""
        return None if self._to_ask or self._last_sent is None else self._last_sent + self._seconds

    def is_over(self, now: float) -> bool:
        """Whether all were asked and the time to answer is over."""
        deadline = self.deadline()
        return not self._to_ask and (deadline is None or deadline <= now)

    def _judge(self, payload: bytes, host: str) -> ScanVerdict:
        try:
            answer = read_scan_answer(payload)
        except RemoteProtocolError:
            return ScanVerdict.MALFORMED
        if answer.nonce != self.nonce:
            return ScanVerdict.FORGED
        known = self.found.get(answer.unit_id)
        if known is not None:
            return ScanVerdict.DUPLICATE if known.host == host else ScanVerdict.ELSEWHERE
        if len(self.found) >= MAX_FOUND:
            return ScanVerdict.SURPLUS
        self.found[answer.unit_id] = FoundDevice(answer, host)
        return ScanVerdict.NEW
