# SPDX-License-Identifier: Apache-2.0
"""Prometheus metrics on a plain HTTP port of their own; server and fleet give what they know, this file the rest.

`collect` is called for each scrape and reads what is there; while nobody asks nothing is done. Names follow the
conventions of Prometheus: the product, what is counted, the unit in seconds or bytes, `_total` for what only grows. The
values of a label are few, and fixed by the code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from umslab_runtime.connections import ConnectionServer
from umslab_runtime.http import Request, Response, text_response
from umslab_runtime.latencies import TOLD
from umslab_runtime.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from prometheus_client import Metric

    from umslab_runtime.clock import Clock
    from umslab_runtime.network import Listener

    Collect: TypeAlias = Callable[[], Awaitable[Iterable[Metric]]]

PATH = "/metrics"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LIMITS = Limits(connections=16, idle_seconds=300.0)
"""Scrapers keep their connection for the next time, which is a minute or two away."""


async def serve_metrics(listener: Listener, collect: Collect, *, clock: Clock, server_name: str) -> None:
    """Answer `GET /metrics` on this listener until cancelled."""
    page = MetricsPage(collect)
    await ConnectionServer(page, context=None, limits=LIMITS, clock=clock, server_name=server_name).serve([listener])


class MetricsPage:
    """The application behind the port."""

    def __init__(self, collect: Collect) -> None:
        self._collect = collect

    async def __call__(self, request: Request, /) -> Response:
        """Answer in the text format, version 0.0.4."""
        if request.path != PATH:
            return text_response(404, f"metrics are at {PATH}")
        if request.method not in {"GET", "HEAD"}:
            return text_response(405, "metrics are read with GET", [("Allow", "GET, HEAD")])
        body = generate_latest(_Collected(await self._collect()))
        return Response(200, [("Content-Type", CONTENT_TYPE), ("Cache-Control", "no-store")], body)


class _Collected(Collector):
    """What one scrape has collected."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Return it."""
        return self._metrics


def gauge(name: str, help_: str, value: float) -> Metric:
    """Something that goes up and down."""
    return GaugeMetricFamily(name, help_, value=value)


def gauges(name: str, help_: str, label: str, values: Mapping[str, float]) -> Metric:
    """The same, for each value of a label."""
    family = GaugeMetricFamily(name, help_, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def counter(name: str, help_: str, value: float) -> Metric:
    """Something that only grows; `_total` is added to the name."""
    return CounterMetricFamily(name, help_, value=value)


def counters(name: str, help_: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    """The same, for each combination of labels."""
    family = CounterMetricFamily(name, help_, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


class Durations(Protocol):
    """Durations that were counted in buckets."""

    @property
    def count(self) -> int:
        """How many."""

    @property
    def total(self) -> float:
        """Seconds, all added up."""

    def within(self, bound: float, /) -> int:
        """How many were at most so long; `bound` is one of `latencies.TOLD`."""


def histogram(name: str, help_: str, durations: Durations) -> Metric:
    """Durations, in buckets that are the same everywhere."""
    return HistogramMetricFamily(name, help_, _buckets(durations), durations.total)


def histograms(name: str, help_: str, label: str, values: Mapping[str, Durations]) -> Metric:
    """The same, for each value of a label."""
    family = HistogramMetricFamily(name, help_, labels=[label])
    for key, durations in values.items():
        family.add_metric([key], _buckets(durations), durations.total)
    return family


def _buckets(durations: Durations) -> list[tuple[str, float]]:
    return [*((str(bound), float(durations.within(bound))) for bound in TOLD), ("+Inf", float(durations.count))]


def process_collector() -> Iterable[Metric]:
    """Memory, descriptors and CPU time of this process, by the names that all programs use."""
    return ProcessCollector(registry=None).collect()


def process_metrics(lag: Durations) -> Iterable[Metric]:
    """What every process tells: memory, descriptors and CPU time by their usual names, and how late its loop is."""
    yield from process_collector()
    yield histogram("umslab_event_loop_lag_seconds", "How late the event loop woke from a short sleep.", lag)
