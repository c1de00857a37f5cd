# SPDX-License-Identifier: Apache-2.0
"""What Prometheus hears of a fleet: well-formed, documented, and what was recorded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio
from prometheus_client import generate_latest
from prometheus_client.registry import Collector

from tests.support import prometheus
from tests.support.fleets import fleet_in
from tests.support.lab import open_lab
from umslab.fleet.metrics import FleetMetrics
from umslab.fleet.steering import Steering
from umslab_agent.fleet.scenario import Flat, Onboard, Ramp, Scenario
from umslab_runtime.control import ControlError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client import Metric
    from trio.testing import MockClock

DOCUMENT = Path(__file__).parents[3] / "docs" / "fleets.md"
SCENARIO = Scenario(devices=6, arrivals=Ramp(seconds=6), phases=(Onboard(),), retry=Flat(seconds=9))


class _Collected(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


async def _scrape(metrics: FleetMetrics) -> dict[str, Metric]:
    return prometheus.read(generate_latest(_Collected(await metrics.collect())).decode())


async def test_names_labels_and_documents(autojump_clock: MockClock, tmp_path: Path) -> None:
    """A linter has nothing to say, every family stands in the document, and the values are the run's."""
    async with open_lab(tmp_path) as lab, trio.open_nursery() as nursery:
        await lab.mass_key()
        with fleet_in(lab, SCENARIO) as ours:
            nursery.start_soon(ours.fleet.run)
            await trio.sleep(2.5)
            await lab.stop_server()
            await trio.sleep(1)
            ours.fleet.pause()
            steering = Steering(ours.fleet, ours.recorder, lab.clock.monotonic, most_per_second=5)

            async def answer(name: str, args: dict[str, Any]) -> dict[str, Any]:
                return steering.answer(name, args)

            families = await _scrape(FleetMetrics(answer))
            nursery.cancel_scope.cancel()
    documented = set(re.findall(r"^\| `((?:umslab|process)_\w+)", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE))
    told = {f"{name}_total" if family.type == "counter" else name for name, family in families.items()}

    assert [] == prometheus.problems(families)
    assert documented == told
    expected: list[tuple[float, str, dict[str, str]]] = [
        (1, "umslab_fleet_phase", {"phase": "onboard"}),
        (2, "umslab_fleet_devices", {"condition": "planned"}),
        (4, "umslab_fleet_devices", {"condition": "offline"}),
        (0, "umslab_fleet_sessions", {}),
        (3, "umslab_fleet_devices_managed_total", {}),
        (4, "umslab_fleet_arrivals_intended", {}),
        (4, "umslab_fleet_arrivals_total", {}),
        (1, "umslab_fleet_arrivals_paused", {}),
        (3, "umslab_fleet_step_seconds_count", {"step": "managed"}),
        (3, "umslab_fleet_step_seconds_bucket", {"step": "managed", "le": "10.0"}),
        (1, "umslab_fleet_failures_total", {"side": "server", "phase": "cacerts", "reason": "unreachable"}),
    ]
    assert expected == [(prometheus.value(families, name, **labels), name, labels) for _, name, labels in expected]


async def test_before_it_runs() -> None:
    """While keys are made, the process itself tells of itself."""

    async def answer(name: str, _: dict[str, Any]) -> dict[str, Any]:
        raise ControlError(f"{name}: not yet")

    families = await _scrape(FleetMetrics(answer))

    assert "umslab_fleet_devices" not in families
    assert 1 == len(families["umslab_build_info"].samples)
    assert "process_resident_memory_bytes" in families
