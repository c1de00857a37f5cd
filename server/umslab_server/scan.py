# SPDX-License-Identifier: Apache-2.0
"""Scanning for devices: who is there, and who of them is known (N11-N15, T14).

A scan registers nobody unless that is wished for: then scan_registration.py orders those that were found to come (O4).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import structs
from sqlalchemy import select

from umslab_protocol.values.unit_id import parse_unit_id
from umslab_protocol.wire.probes import PROBE_PORT
from umslab_runtime.mailbox import Reply
from umslab_runtime.network import ListenError
from umslab_runtime.scanning import ScanPlan, run_scan
from umslab_runtime.workers import get_within
from umslab_server.errors import RefusedError
from umslab_server.scan_report import ScanProgress, hosts_of, progress_of, refuse_if_nobody_was_asked, report_of
from umslab_server.tables import device

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy import Connection

    from umslab_protocol.machines.scan import Scan
    from umslab_runtime.clock import Clock
    from umslab_runtime.network import Network
    from umslab_runtime.workers import Workers
    from umslab_server.config import ScanConfig
    from umslab_server.scan_registration import ScanRegistration
    from umslab_server.scan_report import ScanReport, ScanWish
    from umslab_server.store import Store, Writer

PROGRESS_SECONDS = 0.5


class Scans:
    """Scans on behalf of people, one at a time."""

    def __init__(
        self,
        store: Store,
        network: Network,
        *,
        config: ScanConfig,
        reply_host: str,
        clock: Clock,
        entropy: Callable[[int], bytes],
        workers: Workers,
        registration: ScanRegistration,
    ) -> None:
        self._store = store
        self._workers = workers
        self._registration = registration
        self._network = network
        self._config = config
        self._reply_host = reply_host
        self._clock = clock
        self._entropy = entropy
        self._under_way = False
        self._progress = ScanProgress(0, 0, 0)

    async def scan(
        self, wish: ScanWish, *, actor: str, on_progress: Callable[[ScanProgress], Awaitable[None]]
    ) -> ScanReport:
        """Scan, say who of those that were found is known, and register those that are wished for.

        Raises `RefusedError` and `InvalidValueError`.
        """
        plan = self._plan(wish)
        wished = wish.register or wish.register_all_new
        if wished and wish.over_tcp:
            raise RefusedError("the order to register is for devices that were found over UDP: scan without --tcp")
        for unit_id in wish.register:
            parse_unit_id(unit_id)
        if self._under_way:
            raise RefusedError("a scan is under way already; wait until it is over")
        self._under_way, self._progress = True, ScanProgress(len(plan.hosts), 0, 0)
        over: Reply[Scan] = Reply()
        self._workers.beside(partial(self._run, plan, over))  # it goes on to its end, whoever waits for it
        scan = await self._finished(over, on_progress)
        refuse_if_nobody_was_asked(scan, plan)
        known = await self._store.read(lambda connection: _known(connection, list(scan.found)))
        report = report_of(scan, len(plan.hosts), known)
        await self._store.change(lambda writer: _note(writer, report, actor))
        if not wished:
            return report
        try:
            done = await self._registration.register(
                wish, report.devices, nonce=scan.nonce, port=plan.port, actor=actor,
                on_progress=lambda ordered, come: on_progress(
                    progress_of(scan, plan)._replace(ordered=ordered, registered=come)
                ),
            )  # fmt: skip
        except ListenError as error:
            raise RefusedError(str(error)) from None
        return structs.replace(report, registrations=done)

    async def _finished(self, done: Reply[Scan], on_progress: Callable[[ScanProgress], Awaitable[None]]) -> Scan:
        while True:
            try:
                return await get_within(done, PROGRESS_SECONDS)
            except TimeoutError:
                await on_progress(self._progress)

    async def _run(self, plan: ScanPlan, done: Reply[Scan]) -> None:
        def note(scan: Scan) -> None:
            self._progress = progress_of(scan, plan)

        try:
            done.put(await run_scan(plan, self._network, clock=self._clock, entropy=self._entropy, on_progress=note))
        except ListenError as error:
            done.fail(RefusedError(str(error)))
        finally:
            self._under_way = False

    def _plan(self, wish: ScanWish) -> ScanPlan:
        config = self._config
        return ScanPlan(
            hosts=hosts_of(wish.ranges, config.broadcast_address, over_tcp=wish.over_tcp),
            port=wish.port or config.port or PROBE_PORT,
            seconds=wish.timeout_seconds or config.timeout_seconds,
            over_tcp=wish.over_tcp,
            reply_host=self._reply_host,
            reply_port=config.reply_port,
        )


def _known(connection: Connection, unit_ids: list[str]) -> dict[str, str]:
    wanted, known = set(unit_ids), dict[str, str]()
    query = select(device.c.unit_id, device.c.registered_at, device.c.binned_at)
    for row in connection.execute(query).mappings():
        if row["unit_id"] in wanted:
            state = "in-bin" if row["binned_at"] else "known" if row["registered_at"] else "never-registered"
            known[row["unit_id"]] = state
    return known


def _note(writer: Writer, report: ScanReport, actor: str) -> None:
    counts: dict[str, Any] = {"found": len(report.devices), "new": sum(one.known == "new" for one in report.devices)}
    writer.event("scanned", actor=actor, asked=report.asked, **counts)
