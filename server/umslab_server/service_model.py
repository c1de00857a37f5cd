# SPDX-License-Identifier: Apache-2.0
"""A server that is slow on purpose: how many requests it serves at a time, how many wait, and how long each takes.

Provenance: 50 threads for device requests, a queue without limit, and that a limited queue rejects the surplus are
documented (section 9). How long anything takes, what the threads and the queue hold besides requests for commands, and
how a rejection looks on the wire are not (NP25): they are ASSUMED here, and a file can say otherwise.

`ServiceQueue` is the model: many workers, one queue, first come, first served. Time and chance are arguments. The end
of a turn is known when it is asked for, so nobody has to be woken; `front/turns.py` does the waiting.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from enum import StrEnum
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct

MAX_WAITING = 1_000_000
"""In a queue without limit, so that memory has one."""

Seconds = Annotated[float, Meta(ge=0, le=3_600)]


class Distribution(StrEnum):
    """How service times are spread around their mean."""

    CONSTANT = "constant"
    EXPONENTIAL = "exponential"
    LOGNORMAL = "lognormal"


class ServiceTime(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long one kind of request keeps a worker."""

    mean: Seconds
    """Seconds."""
    distribution: Distribution = Distribution.LOGNORMAL
    """constant, exponential or lognormal."""
    spread: Annotated[float, Meta(ge=0, le=10)] = 0.5
    """Of a log-normal distribution: the standard deviation as a share of the mean."""

    def draw(self, chance: random.Random) -> float:
        """Return the seconds of one request."""
        if self.distribution is Distribution.EXPONENTIAL:
            return chance.expovariate(1.0) * self.mean
        if self.distribution is Distribution.CONSTANT or not self.spread or not self.mean:
            return self.mean
        variance = math.log1p(self.spread**2)
        return chance.lognormvariate(math.log(self.mean) - variance / 2, math.sqrt(variance))


class ServiceTimes(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Service times by kind; all defaults are assumed."""

    cacerts: ServiceTime = ServiceTime(mean=0.005)
    """`cacerts` and `csrattrs`."""
    enrol: ServiceTime = ServiceTime(mean=0.1)
    """`simpleenroll`."""
    renew: ServiceTime = ServiceTime(mean=0.1)
    """`simplereenroll`."""
    token: ServiceTime = ServiceTime(mean=0.02)
    """The token of automatic registration."""
    connect: ServiceTime = ServiceTime(mean=0.03)
    """`ws-connect`."""
    register: ServiceTime = ServiceTime(mean=0.1)
    """OS 11: a registration on TCP 30001."""
    contact: ServiceTime = ServiceTime(mean=0.03)
    """OS 11: a contact on TCP 30001."""
    file: ServiceTime = ServiceTime(mean=0.05)
    """A file for a device."""
    hello: ServiceTime = ServiceTime(mean=0.02)
    """The first message of a session."""
    system_information: ServiceTime = ServiceTime(mean=0.03)
    """`pushsysinfo`."""
    settings: ServiceTime = ServiceTime(mean=0.05)
    """`pullsettings`."""
    heartbeat: ServiceTime = ServiceTime(mean=0.01)
    """`pushruntime`."""
    report: ServiceTime = ServiceTime(mean=0.02)
    """Every other message that a device sends by itself."""


class ServiceModel(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file of `umslab serve --service-model`."""

    workers: Annotated[int, Meta(ge=1, le=10_000)] = 50
    """Requests and messages of devices that are served at the same time (documented: 50 threads, section 9)."""
    queue: Annotated[int, Meta(ge=0, le=MAX_WAITING)] | None = None
    """How many may wait; the surplus is rejected. Without a value: any number (documented, section 9)."""
    reject_status: Literal[503, 429] = 503
    """The status of a rejected request (assumed)."""
    retry_after_seconds: Annotated[float, Meta(gt=0, le=86_400)] = 10.0
    """The Retry-After of that answer (assumed)."""
    seed: int = 0
    """The same arrivals get the same service times; each kind has chances of its own."""
    times: ServiceTimes = ServiceTimes()


class Turn(NamedTuple):
    """When a request is served, in monotonic seconds."""

    begins: float
    ends: float


class ServiceQueue:
    """The model of one server."""

    def __init__(self, model: ServiceModel) -> None:
        self._times = model.times
        self._workers = model.workers
        self._most = MAX_WAITING if model.queue is None else model.queue
        self._seed = model.seed
        self._chances: dict[str, random.Random] = {}
        self._free_at: list[float] = []  # a heap: when each worker that was ever busy is free again
        self._begins: deque[float] = deque()  # of those that wait; first come, first served: in order

    def arrive(self, kind: str, now: float) -> Turn | None:
        """Take a request in; None: the queue is full. `kind` is a field of `ServiceTimes`; `now` never runs back."""
        free = now if len(self._free_at) < self._workers else self._free_at[0]
        if free > now and self.waiting(now) >= self._most:
            return None
        begins = max(free, now)
        ends = begins + self._draw(kind)
        if len(self._free_at) < self._workers:
            heapq.heappush(self._free_at, ends)
        else:
            heapq.heapreplace(self._free_at, ends)
        if begins > now:
            self._begins.append(begins)
        return Turn(begins, ends)

    def waiting(self, now: float) -> int:
        """How many wait for a worker."""
        while self._begins and self._begins[0] <= now:
            self._begins.popleft()
        return len(self._begins)

    def busy(self, now: float) -> int:
        """How many workers are at work."""
        return sum(free > now for free in self._free_at)

    def _draw(self, kind: str) -> float:
        chance = self._chances.get(kind)
        if chance is None:
            chance = self._chances[kind] = random.Random(f"umslab serves {self._seed} {kind}")  # noqa: S311 - repeatable
        time: ServiceTime = getattr(self._times, kind)
        return time.draw(chance)
