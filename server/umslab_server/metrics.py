# SPDX-License-Identifier: Apache-2.0
"""What a server tells Prometheus; `docs/server.md` prints the table.

Everything is read where it is kept anyway, when somebody asks. The one query that grows with the registry, devices by
state, runs on the reading connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from umslab_runtime.metrics import counter, counters, gauge, gauges, histogram, process_metrics
from umslab_server.store import StoreError

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Iterator

    from prometheus_client import Metric

    from umslab_runtime.connections import ConnectionServer
    from umslab_runtime.latencies import Latencies
    from umslab_server.front.build import Front
    from umslab_server.services import Services


@dataclass(frozen=True, kw_only=True)
class ServerMetrics:
    """Where to look."""

    version: str
    services: Services
    front: Front
    connections: ConnectionServer
    lag: Latencies

    async def collect(self) -> Iterable[Metric]:
        """Look at everything."""
        try:
            devices = await self.services.registry.count()
        except StoreError:
            devices = {}  # the rest is all the more of interest
        return list(self._families(devices))

    def _families(self, devices: dict[str, int]) -> Iterator[Metric]:
        yield gauges("umslab_build_info", "Always 1; the label has the version.", "version", {self.version: 1})
        yield gauges("umslab_devices", "Devices in the registry by state.", "state", devices)
        yield gauge("umslab_sessions", "Devices with a management session.", len(self.services.presence))
        yield from self._connections()
        yield from self._requests()
        yield from self._messages()
        yield from self._work()
        yield from self._turns()
        yield from self._store()
        yield from process_metrics(self.lag)

    def _connections(self) -> Iterator[Metric]:
        known = self.connections.counters
        yield gauge("umslab_connections", "Open connections.", self.connections.open_connections)
        yield counter("umslab_connections_accepted", "Connections that were accepted.", known["accepted"])
        yield counters(
            "umslab_tls_handshakes", "TLS handshakes by outcome.", ("outcome",), _with_prefix(known, "handshake-")
        )
        yield counter("umslab_defects", "Requests and connections that an error of ours ended.", known["defects"])

    def _requests(self) -> Iterator[Metric]:
        known = self.front.router.answers
        answers = [((path, str(status)), times) for (path, status), times in known.items()]
        yield counters("umslab_http_requests", "Requests by path and status.", ("path", "status"), answers)
        refused = _with_prefix(self.connections.counters, "refused-")
        yield counters(
            "umslab_http_refusals",
            "Connections that were refused before there was a request for a path: too slow, too large, too many.",
            ("status",),
            refused,
        )
        outcomes = self.front.est.outcomes.items()
        yield counters("umslab_enrolments", "Certificate requests by outcome.", ("operation", "outcome"), outcomes)

    def _messages(self) -> Iterator[Metric]:
        heard, said = self.services.sessions.messages, self.services.sessions.sent
        mismatches = self.services.sessions.mismatches
        yield counter("umslab_identity_mismatches", "Hellos of another device than the certificate's.", mismatches)
        yield counters("umslab_messages_received", "Messages of devices by type.", ("type",), _by_tag(heard))
        yield counters("umslab_messages_sent", "Messages to devices by type.", ("type",), _by_tag(said))

    def _work(self) -> Iterator[Metric]:
        outcomes, commands, workers = (
            self.services.configuration.outcomes,
            self.services.commands,
            self.services.workers,
        )
        yield counters(
            "umslab_settings", "Settings sent to devices, and their answers.", ("outcome",), _plain(outcomes)
        )
        yield counters(
            "umslab_command_states",
            "Commands to devices that came into a state.",
            ("state",),
            _plain(commands.journal.states),
        )
        yield gauge("umslab_commands_open", "Commands to devices that are not over.", commands.open_tasks)
        yield gauge("umslab_command_threads_busy", "Commands under way (requests.threads).", workers.busy)
        yield gauge("umslab_command_queue_length", "Commands that wait for a thread (requests.queue).", workers.waiting)

    def _turns(self) -> Iterator[Metric]:
        turns = self.front.turns
        if turns is not None:
            yield gauge("umslab_service_workers_busy", "Workers of the service model at work.", turns.busy)
            yield gauge("umslab_service_queue_length", "Requests and messages that wait for a worker.", turns.waiting)
            yield counters(
                "umslab_service_rejections", "Rejected by the full queue.", ("kind",), _plain(turns.rejected)
            )
            yield histogram("umslab_service_wait_seconds", "How long a worker was waited for.", turns.waits)

    def _store(self) -> Iterator[Metric]:
        store = self.services.store
        yield histogram("umslab_store_commit_seconds", "From a batch's begin to its being on disk.", store.commits)
        yield counter("umslab_store_changes", "Changes that were committed or failed.", store.changes)
        yield gauge("umslab_store_changes_waiting", "Changes that wait for their commit.", store.waiting)
        yield counter("umslab_events", "The number of the newest event; it goes on after a restart.", store.feed.value)


def _with_prefix(known: Counter[str], prefix: str) -> Iterable[tuple[tuple[str], int]]:
    return [((key.removeprefix(prefix),), times) for key, times in known.items() if key.startswith(prefix)]


def _plain(known: Counter[str]) -> Iterable[tuple[tuple[str], int]]:
    return [((key.lower(),), times) for key, times in known.items()]


def _by_tag(known: Counter[type]) -> Iterable[tuple[tuple[str], int]]:
    return [((str(kind.__struct_config__.tag),), times) for kind, times in known.items()]  # type: ignore[attr-defined]
