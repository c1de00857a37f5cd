# SPDX-License-Identifier: Apache-2.0
"""One search by mDNS: how long it lasts, and what it found.

Nobody can know that all have answered. So the search waits `PATIENCE_SECONDS` for a first answer and then
`SETTLE_SECONDS` for others: answers come within 0.12 s, repetitions a second later (RFC 6762 sections 5.2 and 6).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from umslab_protocol.wire.mdns import MAX_NAMES, MAX_SERVICES, MdnsProblem, UmsService, in_order

if TYPE_CHECKING:
    from collections.abc import Mapping

PATIENCE_SECONDS = 5.0
SETTLE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Browsed:
    """What a search found."""

    services: tuple[UmsService, ...]
    """In the order in which they are tried."""
    ignored: Mapping[MdnsProblem, int]
    """Services that were not used, by reason."""


class MdnsBrowse:
    """Collects what is heard; times are monotonic seconds."""

    def __init__(self, now: float, *, patience: float = PATIENCE_SECONDS, settle: float = SETTLE_SECONDS) -> None:
        self._give_up_at = now + patience
        self._settle = settle
        self._settled_at: float | None = None
        self._asked: set[str] = set()
        self._found: set[UmsService] = set()
        self._ignored: Counter[MdnsProblem] = Counter()

    def appeared(self, full_name: str) -> bool:
        """A name was heard; whether it is worth asking for its records."""
        if full_name not in self._asked and len(self._asked) >= MAX_NAMES:
            self._ignored[MdnsProblem.TOO_MANY] += 1
            return False
        self._asked.add(full_name)
        return True

    def found(self, service: UmsService, now: float) -> None:
        """The records of a service are complete."""
        if service not in self._found and len(self._found) >= MAX_SERVICES:
            self._ignored[MdnsProblem.TOO_MANY] += 1
            return
        self._found.add(service)
        if self._settled_at is None:
            self._settled_at = now + self._settle

    def ignore(self, problem: MdnsProblem) -> None:
        """A service cannot be used."""
        self._ignored[problem] += 1

    def gone(self, name: str) -> None:
        """A service was withdrawn."""
        self._found = {service for service in self._found if service.name != name}

    def deadline(self) -> float:
        """When the search is over."""
        return self._give_up_at if self._settled_at is None else min(self._settled_at, self._give_up_at)

    def result(self) -> Browsed:
        """What was found up to now."""
        return Browsed(tuple(in_order(self._found)), dict(self._ignored))
