# SPDX-License-Identifier: Apache-2.0
"""The online check of OS 11 devices: who answers on UDP 30005 is online (N1, N2, N4-N8, N10, N17).

One sweep after the other asks every registered OS 11 device that has an address; OS 12 devices are never asked, their
session is their presence (N10). What a sweep finds goes into `Presence` at once, and into the registry, with an event,
only when it is something else than before. While no OS 11 device is registered nothing is asked and nothing wakes up.

`reachable` and `checked_at` of a device say what was found last, and since when that has been so.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog
from msgspec import Struct
from sqlalchemy import bindparam, select

from umslab_protocol.machines.online_check import (
    MAX_TARGETS,
    CheckEvent,
    CheckRules,
    Missed,
    OnlineCheck,
    Reached,
    Target,
)
from umslab_protocol.wire.probes import PROBE_PORT
from umslab_runtime.pulse import Pulse
from umslab_runtime.sweeping import Sweeping
from umslab_runtime.workers import beyond_within
from umslab_server.commanding.selectors import rows_of
from umslab_server.errors import RefusedError
from umslab_server.store import StoreError
from umslab_server.tables import OS11, device

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy import Connection, RowMapping

    from umslab_runtime.clock import Clock
    from umslab_runtime.udp import UdpEndpoint
    from umslab_server.config import OnlineCheckConfig
    from umslab_server.presence import Presence
    from umslab_server.store import Store, Writer

DISABLED = "the online check is off (online_check.enabled)"
NO_ADDRESS = "it has no IPv4 address yet"
PROGRESS_SECONDS = 0.5
_AT_ONCE = 500
"""Changes in one transaction."""
ACTOR = "online-check"

log = structlog.get_logger(__name__)


class SweepProgress(NamedTuple):
    """How far a sweep is."""

    targets: int
    reached: int
    missed: int


class CheckedDevice(Struct, frozen=True, kw_only=True):
    """What is known of a device."""

    unit_id: str
    name: str
    address: str
    state: str
    """`online`, `offline` or `unknown`."""
    by: str
    """How that is known: `online-check`, or `session` for OS 12 (N10)."""
    milliseconds: float | None
    """From the probe to the answer."""
    why: str
    """Why it could not be asked."""


class CheckReport(Struct, frozen=True, kw_only=True):
    """The outcome of a sweep for some devices."""

    devices: list[CheckedDevice]
    counts: dict[str, int]
    counters: dict[str, int]
    """Of all sweeps since the server began."""
    timeout_seconds: float
    tries: int


class OnlineChecks:
    """`open` it with an endpoint and keep `carry` and `run` running; without, nobody is asked."""

    def __init__(self, store: Store, presence: Presence, *, config: OnlineCheckConfig, clock: Clock) -> None:
        self._store = store
        self._presence = presence
        self._config = config
        self._clock = clock
        self._check: OnlineCheck | None = None
        self._carrier: Sweeping | None = None
        self._written: dict[str, str] = {}
        """What the registry says of each target."""
        self._changed: dict[str, str] = {}
        """What it does not say yet."""
        self._asked = Pulse()
        self._finished = Pulse()
        self._known: list[Target] = []
        """Who is to be asked, as of this number of the feed:"""
        self._read_at = -1
        self._begun = 0
        self._progress = SweepProgress(0, 0, 0)

    def open(self, endpoint: UdpEndpoint, entropy: Callable[[int], bytes]) -> None:
        """Send from this endpoint; `entropy` gives so many random bytes, which nobody may be able to guess."""
        rules = CheckRules(
            timeout_seconds=self._config.timeout_seconds, tries=self._config.tries, parallel=self._config.parallel
        )
        self._check = OnlineCheck(rules, reply_port=endpoint.address.port, entropy=entropy)
        self._carrier = Sweeping(endpoint, self._check, clock=self._clock, on_event=self._note)

    @property
    def counters(self) -> dict[str, int]:
        """Probes, and answers by what they were, since the server began."""
        if self._check is None or self._carrier is None:
            return {}
        verdicts = {str(verdict): count for verdict, count in sorted(self._check.verdicts.items())}
        return {"probes": self._check.probes, "unsent": self._carrier.unsent, **verdicts}

    async def carry(self) -> None:
        """Send probes and take answers, for ever."""
        assert self._carrier is not None  # noqa: S101 - `open` comes first
        await self._carrier.run()

    async def run(self) -> None:
        """Sweep at every interval, for ever; sooner when somebody asks."""
        while True:
            seen, asked = self._store.feed.value, self._asked.value
            began = self._clock.monotonic()
            targets = await self._sweep()
            if not targets:
                await self._store.feed.beyond(seen)
            await beyond_within(self._asked, asked, began + self._config.interval_seconds - self._clock.monotonic())

    async def _sweep(self) -> int:
        """Do one; returns how many were asked."""
        assert self._carrier is not None  # noqa: S101 - `open` comes first
        try:
            targets = await self._targets()
        except StoreError as error:
            log.warning("nobody is asked whether it is there", problem=str(error))
            return 1  # try again at the next interval
        self._begun += 1
        self._progress = SweepProgress(len(targets), 0, 0)
        for start in range(0, len(targets), MAX_TARGETS):
            await self._carrier.sweep(targets[start : start + MAX_TARGETS])
        self._write()
        self._finished.advance(self._begun)
        return len(targets)

    async def refresh(self, on_progress: Callable[[SweepProgress], Awaitable[None]] | None = None) -> None:
        """Return when a whole sweep has been done that began after this call; at once when nobody can be asked."""
        if self._carrier is None or not await self._targets():
            return
        last = self._begun
        self._asked.advance(self._asked.value + 1)
        while not await beyond_within(self._finished, last, PROGRESS_SECONDS):
            if on_progress is not None:
                await on_progress(self._progress)

    async def report(self, unit_ids: list[str], on_progress: Callable[[SweepProgress], Awaitable[None]]) -> CheckReport:
        """Do a sweep and say what is known of these devices now. Raises `RefusedError` when nobody is ever asked."""
        self.refuse_when_off()
        await self.refresh(on_progress)
        rows = await self._store.read(
            lambda connection: list(rows_of(connection, unit_ids, "name", "last_ip", "generation"))
        )
        devices = [self._described(row) for row in sorted(rows, key=lambda row: str(row["unit_id"]))]
        return CheckReport(
            devices=devices,
            counts=dict(Counter(one.state for one in devices)),
            counters=self.counters,
            timeout_seconds=self._config.timeout_seconds,
            tries=self._config.tries,
        )

    def _described(self, row: RowMapping) -> CheckedDevice:
        unit_id, os11 = row["unit_id"], row["generation"] == OS11
        seconds = self._presence.answered_in(unit_id)
        known = not os11 or self._presence.is_known(unit_id)
        return CheckedDevice(
            unit_id=unit_id,
            name=row["name"],
            address=row["last_ip"],
            state=("online" if self._presence.is_online(unit_id) else "offline") if known else "unknown",
            by="online-check" if os11 else "session",
            milliseconds=None if seconds is None else round(seconds * 1000, 3),
            why=self._presence.why_unchecked(unit_id),
        )

    def refuse_when_off(self) -> None:
        """Raise `RefusedError` when nobody is ever asked."""
        if self._carrier is None:
            raise RefusedError(f"{DISABLED}: states of OS 11 devices are unknown")

    # Inside.

    async def _targets(self) -> list[Target]:
        """Read who is to be asked, if anything has happened since the last time; forget those that are not any more."""
        now = self._store.feed.value
        if now != self._read_at:
            self._known = self._take_in(await self._store.read(_os11_rows))
            self._read_at = now
        return self._known

    def _take_in(self, rows: list[RowMapping]) -> list[Target]:
        targets, skipped = [], {}
        for row in rows:
            if ":" in row["last_ip"] or not row["last_ip"]:
                skipped[row["unit_id"]] = NO_ADDRESS
            else:
                port = row["push_port"] or self._config.port or PROBE_PORT
                targets.append(Target(row["unit_id"], row["last_ip"], port))
            self._written.setdefault(row["unit_id"], row["reachable"])
        self._presence.keep_checked({row["unit_id"] for row in rows})
        for unit_id, why in skipped.items():
            self._presence.note_unchecked(unit_id, why)
        for unit_id in self._written.keys() - {row["unit_id"] for row in rows}:
            del self._written[unit_id]
        return targets

    def _note(self, event: CheckEvent) -> None:
        targets, reached, missed = self._progress
        if isinstance(event, Reached):
            self._progress = SweepProgress(targets, reached + 1, missed)
            self._found(event.unit_id, "online", event.seconds)
        elif isinstance(event, Missed):
            self._progress = SweepProgress(targets, reached, missed + 1)
            self._found(event.unit_id, "offline", None)
        else:
            self._presence.note_unchecked(event.unit_id, event.why)

    def _found(self, unit_id: str, reachable: str, seconds: float | None) -> None:
        self._presence.note_checked(unit_id, seconds)
        if self._written.get(unit_id, "") != reachable:
            self._changed[unit_id] = reachable
            if len(self._changed) >= _AT_ONCE:
                self._write()
        else:
            self._changed.pop(unit_id, None)

    def _write(self) -> None:
        """Make durable what has changed; nobody waits for it."""
        if not self._changed:
            return
        changed, self._changed = self._changed, {}
        try:
            self._store.post(lambda writer: _write_changes(writer, changed))
        except StoreError as error:
            log.warning("what the online check found is not written yet", problem=str(error))
            self._changed = {**changed, **self._changed}
        else:
            self._written.update(changed)


def _os11_rows(connection: Connection) -> list[RowMapping]:
    columns = (device.c.unit_id, device.c.last_ip, device.c.push_port, device.c.reachable)
    query = select(*columns).where(
        device.c.generation == OS11, device.c.registered_at.is_not(None), device.c.binned_at.is_(None)
    )
    return list(connection.execute(query).mappings())


def _write_changes(writer: Writer, changed: dict[str, str]) -> None:
    rows: list[dict[str, Any]] = [
        {"whose": unit_id, "reachable": reachable, "checked_at": writer.stamp} for unit_id, reachable in changed.items()
    ]
    writer.connection.execute(device.update().where(device.c.unit_id == bindparam("whose")), rows)
    for unit_id, reachable in changed.items():
        kind = "device-reachable" if reachable == "online" else "device-unreachable"
        writer.event(kind, actor=ACTOR, unit_id=unit_id)
