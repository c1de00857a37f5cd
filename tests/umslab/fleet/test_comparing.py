# SPDX-License-Identifier: Apache-2.0
"""Two runs side by side: the same numbers, their ratios, and what else is different."""

from __future__ import annotations

import msgspec
import pytest

from tests.support.fleet_runs import run_report, storm
from umslab.fleet.comparing import Row, compare
from umslab_agent.fleet.report import Backend


def test_of_two_policies() -> None:
    """The retry policy is what is different; phases and steps stand beside each other."""
    found = compare(run_report(retry="flat 5 s"), run_report(storm(seed=2), retry="exponential"))
    rows = {row.what: row for row in found.rows}

    assert ["retry: flat 5 s | exponential"] == found.differences
    assert (60, 60, 1.0) == (rows["devices managed"].a, rows["devices managed"].b, rows["devices managed"].ratio)
    until = rows["restart: 99 % managed after"]
    assert until.a
    assert until.b
    assert until.b / until.a == pytest.approx(until.ratio)
    assert {"tls p50", "managed p99", "  laid at the server", "onboard: 50 % managed after"} <= set(rows)
    assert not any(name.startswith("drain") for name in rows)


def test_ratios_that_there_are_not() -> None:
    """Of nothing, and of what never was."""
    assert None is Row("x", "", 0, 5).ratio
    assert None is Row("x", "s", 5.0, None).ratio
    assert ["never", "1.50 s", "-", "7"] == [
        Row("x", "s", 1.0, None).told(None), Row("x", "s", 1.0, 1.0).told(1.5), Row("x", "", 1, 1).told(None),
        Row("x", "", 1, 1).told(7),
    ]  # fmt: skip


def test_remarks() -> None:
    """Which of the two is not to be trusted, and why."""
    real = Backend("ums.example:8443")
    busy, other = run_report(storm(cpu=1.4), backend=real), run_report(number=1, of=2)
    found = compare(busy, other)

    assert 3 == len(found.remarks)
    assert found.remarks[0].startswith("In A the generator was the bottleneck")
    assert found.remarks[1].startswith("B is incomplete")
    assert "no statement about a real UMS" in found.remarks[2]
    assert {"devices", "target", "server"} == {line.split(":")[0] for line in found.differences}
    assert [] == compare(run_report(backend=real), run_report(backend=real)).remarks


def test_other_machines() -> None:
    """What is different about them is named, and nothing else."""
    first, second = run_report(), run_report()
    (shard,) = second.shards
    machine = msgspec.structs.replace(shard.machine, processors=8)
    second.shards = [msgspec.structs.replace(shard, machine=machine)]

    assert ["machine's processors: 2 | 8"] == compare(first, second).differences
