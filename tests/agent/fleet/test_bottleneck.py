# SPDX-License-Identifier: Apache-2.0
"""A generator at its end says so, with numbers; one that kept up says nothing."""

from __future__ import annotations

import pytest

from umslab_agent.fleet.bottleneck import bottlenecks
from umslab_agent.fleet.measured import Condition
from umslab_agent.fleet.recorder import Health, Recorder


def _run(*, cpu: float = 0.5, lag: float = 0.001, late: float = 0.01) -> list[str]:
    recorder = Recorder(devices=10, start=0.0)
    for second in range(100):
        recorder.sampled(Health(cpu if second < 10 else 0.1, lag, 1, 1), float(second))
        recorder.arrived(second, second + late)
    return bottlenecks(recorder.measured)


def test_one_that_kept_up() -> None:
    """Nothing is said."""
    assert [] == _run()


@pytest.mark.parametrize(
    ("what", "word"),
    [
        ({"cpu": 0.95}, "more than 90% of its processor in use in 10% of the samples"),
        ({"lag": 0.06}, "event loop 60.0 ms late"),
        ({"late": 0.2}, "arrivals: 1 % started 200 ms late"),
    ],
)
def test_one_that_did_not(what: dict[str, float], word: str) -> None:
    """One sentence for each sign."""
    found = _run(**what)

    assert 1 == len(found)
    assert word in found[0]


def test_a_generator_that_nobody_watched() -> None:
    """Not knowing is not well, but for a run that was over before anybody could look."""
    recorder = Recorder(devices=1, start=0.0)
    recorder.moved(Condition.PLANNED, Condition.MANAGED, 1.0)

    assert [] == bottlenecks(recorder.finish(0.9))
    assert ["nobody watched the generator"] == bottlenecks(recorder.finish(2.0))


def test_several_processes_are_told_apart() -> None:
    """By number."""
    first, second = (Recorder(devices=1, start=0.0) for _ in range(2))
    first.sampled(Health(0.1, 0.0, 1, 1), 0.0)
    second.sampled(Health(0.99, 0.0, 1, 1), 0.0)
    first.measured.generators += second.measured.generators

    assert ["generator 2: more than 90% of its processor in use in 100% of the samples"] == bottlenecks(first.measured)
