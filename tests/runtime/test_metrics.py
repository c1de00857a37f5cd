# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.metrics."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from tests.support import prometheus
from umslab_runtime.latencies import Latencies
from umslab_runtime.metrics import (
    CONTENT_TYPE,
    counter,
    counters,
    gauge,
    gauges,
    histogram,
    process_metrics,
    serve_metrics,
)

from .carriers import MemoryCarrier, patience, receive_all
from .web import answer, calendar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from prometheus_client import Metric

    from umslab_runtime.metrics import Collect
    from umslab_runtime.streams import Transport


async def _two() -> Iterable[Metric]:
    """A small page."""
    return [gauge("umslab_sessions", "Sessions.", 3), counter("umslab_events", "Events.", 7)]


TEXT = (
    b"# HELP umslab_sessions Sessions.\n# TYPE umslab_sessions gauge\numslab_sessions 3.0\n"
    b"# HELP umslab_events_total Events.\n# TYPE umslab_events_total counter\numslab_events_total 7.0\n"
)


@asynccontextmanager
async def scraping(collect: Collect = _two) -> AsyncIterator[Transport]:
    """A connection to a port with metrics."""
    carrier = MemoryCarrier()
    listener = await carrier.listen()
    with trio.fail_after(patience()):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: serve_metrics(listener, collect, clock=calendar(), server_name="test"))
            client = await carrier.client.dial(carrier.target(listener))
            yield client
            client.abort()
            nursery.cancel_scope.cancel()


async def ask(request: bytes, collect: Collect = _two) -> bytes:
    """All that is answered to a last request."""
    async with scraping(collect) as client:
        await client.send_all(request + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return await receive_all(client)
    raise AssertionError("the connection is not left early")


async def test_the_page() -> None:
    """In the text format that every Prometheus reads, on a connection that is kept for the next scrape."""
    expected = answer(200, TEXT, headers=[("Content-Type", CONTENT_TYPE), ("Cache-Control", "no-store")])
    async with scraping() as client:
        for _ in range(2):
            await client.send_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n")
            got = b""
            while len(got) < len(expected):
                got += await client.receive_some()

            assert expected == got


async def test_head() -> None:
    """The same without its body."""
    got = await ask(b"HEAD /metrics")

    assert got.startswith(b"HTTP/1.1 200 ")
    assert f"Content-Length: {len(TEXT)}".encode() in got
    assert got.endswith(b"\r\n\r\n")


async def test_other_paths_and_methods() -> None:
    """404 that says where the metrics are, and 405."""
    assert b"metrics are at /metrics\n" == (await ask(b"GET /")).partition(b"\r\n\r\n")[2]
    assert (await ask(b"POST /metrics")).startswith(b"HTTP/1.1 405 ")


async def test_a_defect_is_no_end() -> None:
    """500, and the port goes on."""

    async def broken() -> Iterable[Metric]:
        raise LookupError

    assert (await ask(b"GET /metrics", broken)).startswith(b"HTTP/1.1 500 ")


async def test_all_kinds_are_read_back() -> None:
    """By somebody else's parser, with labels, and nothing for a linter to say."""
    late = Latencies()
    for seconds in (0.002, 0.03, 20.0):
        late.record(seconds)

    async def collect() -> Iterable[Metric]:
        return [
            gauges("umslab_devices", "Devices.", "state", {"online": 2, "offline": 1}),
            counters("umslab_requests", "Requests.", ("path", "status"), [(("/info", "200"), 5)]),
            histogram("umslab_wait_seconds", "Waits.", late),
            *process_metrics(late),
        ]

    families = prometheus.read((await ask(b"GET /metrics", collect)).partition(b"\r\n\r\n")[2].decode())

    assert [] == prometheus.problems(families)
    assert 2 == prometheus.value(families, "umslab_devices", state="online")
    assert 5 == prometheus.value(families, "umslab_requests_total", path="/info", status="200")
    buckets = {le: prometheus.value(families, "umslab_wait_seconds_bucket", le=le) for le in ("0.001", "0.05", "+Inf")}
    assert {"0.001": 0, "0.05": 2, "+Inf": 3} == buckets
    assert 3 == prometheus.value(families, "umslab_event_loop_lag_seconds_count")
    assert 1_000_000 < (prometheus.value(families, "process_resident_memory_bytes") or 0)


def test_the_linter_finds_what_is_wrong() -> None:
    """A counter that is called as none, and a unit that is no base unit."""
    text = "# HELP umslab_wait_ms Waits.\n# TYPE umslab_wait_ms gauge\numslab_wait_ms 1.0\n"

    assert ["umslab_wait_ms is counted in no base unit"] == prometheus.problems(prometheus.read(text))
