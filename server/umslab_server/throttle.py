# SPDX-License-Identifier: Apache-2.0
"""Slows down those who guess first-authentication keys, and nobody else.

Two buckets. One for each (source address, unit ID): a few wrong keys, then 429 *before* the next key is looked at. One
for each source address: a source that guesses for many unit IDs gets 429 for its wrong keys, but its right ones are
served at once, because behind one address there may be a whole site (NAT). So nobody is ever delayed by someone else's
mistakes. Both tables are bounded; the longest untouched entries go first.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_ENTRIES = 20_000


class ThrottleRules(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many wrong keys are borne."""

    wrong_keys_per_device: Annotated[int, Meta(ge=1, le=1_000_000)] = 5
    """Wrong keys in a row for one (source, unit ID) before it must wait."""
    wrong_keys_per_source: Annotated[int, Meta(ge=1, le=1_000_000)] = 100
    """Wrong keys of one source before its further wrong ones are answered 429."""
    seconds_per_wrong_key: Annotated[float, Meta(gt=0, le=86_400)] = 10.0
    """How long it takes until one more is borne."""


class _Bucket:
    """A leaky bucket: each wrong key fills it by one, it leaks one in so many seconds."""

    __slots__ = ("at", "level")

    def __init__(self, now: float) -> None:
        self.level = 0.0
        self.at = now

    def leak(self, now: float, seconds_per_drop: float) -> None:
        self.level = max(0.0, self.level - (now - self.at) / seconds_per_drop)
        self.at = now


class _Buckets:
    def __init__(self, room: float, seconds_per_drop: float) -> None:
        self._room = room
        self._seconds_per_drop = seconds_per_drop
        self._buckets: OrderedDict[object, _Bucket] = OrderedDict()

    def wait(self, key: object, now: float, more: int = 0) -> float:
        """Seconds until the next wrong key is borne, after `more` that may come to it; 0 when it is now."""
        level = float(more)
        if bucket := self._buckets.get(key):
            bucket.leak(now, self._seconds_per_drop)
            level += bucket.level
            if bucket.level == 0.0:
                del self._buckets[key]
        return max(0.0, (level - self._room + 1) * self._seconds_per_drop)

    def add(self, key: object, now: float) -> None:
        bucket = self._buckets.pop(key, None) or _Bucket(now)
        bucket.leak(now, self._seconds_per_drop)
        bucket.level = min(bucket.level + 1, self._room)
        self._buckets[key] = bucket
        if len(self._buckets) > MAX_ENTRIES:
            self._buckets.popitem(last=False)

    def clear(self, key: object) -> None:
        self._buckets.pop(key, None)


class Throttle:
    """Keeps count; `now` is monotonic seconds."""

    def __init__(self, rules: ThrottleRules) -> None:
        self._devices = _Buckets(rules.wrong_keys_per_device, rules.seconds_per_wrong_key)
        self._sources = _Buckets(rules.wrong_keys_per_source, rules.seconds_per_wrong_key)
        self._trying: Counter[tuple[str, str]] = Counter()

    def wait_before_trying(self, source: str, unit_id: str, now: float) -> float:
        """Seconds this device must wait before its next key is looked at; 0 when it need not."""
        return self._devices.wait((source, unit_id), now, self._trying[source, unit_id])

    @contextmanager
    def trying(self, source: str, unit_id: str) -> Iterator[None]:
        """While its key is looked at it counts as wrong: many at once get no more tries than one after the other."""
        self._trying[source, unit_id] += 1
        try:
            yield
        finally:
            self._trying[source, unit_id] -= 1
            if not self._trying[source, unit_id]:
                del self._trying[source, unit_id]

    def is_slowed(self, source: str, now: float) -> bool:
        """Whether this source's wrong keys are answered 429 now."""
        return self._sources.wait(source, now) > 0

    def wrong(self, source: str, unit_id: str, now: float) -> float:
        """Count a wrong key; return how long to tell the source to stay away, 0 when a plain refusal is enough."""
        wait = self._sources.wait(source, now)
        self._devices.add((source, unit_id), now)
        self._sources.add(source, now)
        return wait

    def right(self, source: str, unit_id: str) -> None:
        """Forget this device's wrong keys: it has the right one."""
        self._devices.clear((source, unit_id))
