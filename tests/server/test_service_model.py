# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.service_model, against results that are in every textbook on queues."""

from __future__ import annotations

import math
import random
import re
import statistics
from typing import TYPE_CHECKING

import pytest

from umslab.settings import SettingsError, load
from umslab_server.service_model import Distribution, ServiceModel, ServiceQueue, ServiceTime, ServiceTimes, Turn

if TYPE_CHECKING:
    from pathlib import Path

TWO_SECONDS = ServiceTime(mean=2.0, distribution=Distribution.CONSTANT)


def queue(
    *, workers: int = 1, most: int | None = None, enrol: ServiceTime = TWO_SECONDS, seed: int = 0
) -> ServiceQueue:
    """A queue where enrolling takes two seconds."""
    return ServiceQueue(ServiceModel(workers=workers, queue=most, seed=seed, times=ServiceTimes(enrol=enrol)))


def arrivals(rate: float, count: int) -> list[float]:
    """Moments of a Poisson process."""
    chance, now, found = random.Random(7), 0.0, []
    for _ in range(count):
        now += chance.expovariate(rate)
        found.append(now)
    return found


class TestKnownSequences:
    """Small enough to check by hand."""

    def test_one_worker(self) -> None:
        """Who comes while it works waits for those before."""
        line = queue()

        assert [Turn(0, 2), Turn(2, 4), Turn(4, 6)] == [line.arrive("enrol", now) for now in (0.0, 1.0, 2.0)]
        assert Turn(10, 12) == line.arrive("enrol", 10.0)

    def test_two_workers(self) -> None:
        """The first who is free takes the next."""
        line = queue(workers=2)

        assert [0.0, 0.5, 2.0, 2.5] == [
            turn.begins for now in (0.0, 0.5, 1.0, 1.0) if (turn := line.arrive("enrol", now))
        ]

    def test_a_full_queue_rejects(self) -> None:
        """With one place, the third at once is rejected; the place is free when its holder is served."""
        line = queue(most=1)
        taken = [line.arrive("enrol", now) is not None for now in (0.0, 0.0, 0.0, 1.9, 2.0, 2.1)]

        assert [True, True, False, False, True, False] == taken

    def test_no_queue(self) -> None:
        """A queue of 0 takes as many as there are workers; a worker that is free at this moment counts."""
        line = queue(workers=2, most=0)
        taken = [line.arrive("enrol", now) is not None for now in (0.0, 0.0, 1.0, 2.0, 2.0, 2.0)]

        assert [True, True, False, True, True, False] == taken

    def test_what_it_tells(self) -> None:
        """Workers at work and requests that wait, as time goes by."""
        line = queue(workers=2)
        for _ in range(5):
            line.arrive("enrol", 0.0)

        assert [(2, 3), (2, 1), (1, 0), (0, 0)] == [(line.busy(now), line.waiting(now)) for now in (0.0, 2.0, 4.0, 6.0)]

    def test_kinds_share_the_workers(self) -> None:
        """One queue for all, each kind with its own time."""
        times = ServiceTimes(enrol=TWO_SECONDS, heartbeat=ServiceTime(mean=0.5, distribution=Distribution.CONSTANT))
        line = ServiceQueue(ServiceModel(workers=1, times=times))

        assert [Turn(0, 2), Turn(2, 2.5), Turn(2.5, 4.5)] == [
            line.arrive(kind, 0.0) for kind in ("enrol", "heartbeat", "enrol")
        ]


class TestTextbooks:
    """Mean waits and losses of long runs."""

    def test_constant_times(self) -> None:
        """M/D/1 at 80 %: the mean wait is s * rho / (2 * (1 - rho)) (Pollaczek and Khinchine)."""
        line = queue(enrol=ServiceTime(mean=1.0, distribution=Distribution.CONSTANT))
        waits = [turn.begins - now for now in arrivals(0.8, 100_000) if (turn := line.arrive("enrol", now))]

        assert pytest.approx(0.8 / (2 * 0.2), rel=0.05) == statistics.mean(waits)

    def test_exponential_times(self) -> None:
        """M/M/1 at 80 %: twice as long."""
        line = queue(enrol=ServiceTime(mean=1.0, distribution=Distribution.EXPONENTIAL))
        waits = [turn.begins - now for now in arrivals(0.8, 100_000) if (turn := line.arrive("enrol", now))]

        assert pytest.approx(0.8 / 0.2, rel=0.1) == statistics.mean(waits)

    def test_losses_without_a_queue(self) -> None:
        """Erlang's B formula for five workers and an offered load of four, whatever the distribution."""
        line = queue(workers=5, most=0, enrol=ServiceTime(mean=1.0))
        lost = sum(line.arrive("enrol", now) is None for now in arrivals(4.0, 100_000))
        terms = [4.0**k / math.factorial(k) for k in range(6)]

        assert pytest.approx(terms[5] / sum(terms), rel=0.05) == lost / 100_000

    def test_overload_grows(self) -> None:
        """At twice the capacity every wait is longer than the one before, half a second for each arrival."""
        line = queue(enrol=ServiceTime(mean=1.0, distribution=Distribution.CONSTANT))
        waits = [turn.begins - now for n in range(1_000) if (turn := line.arrive("enrol", now := n / 2))]

        assert [n / 2 for n in range(1_000)] == waits


class TestServiceTimes:
    """Means and spreads of what is drawn."""

    @pytest.mark.parametrize(
        ("distribution", "spread", "deviation"),
        [
            (Distribution.CONSTANT, 0.5, 0.0),
            (Distribution.EXPONENTIAL, 0.5, 0.2),
            (Distribution.LOGNORMAL, 0.5, 0.1),
            (Distribution.LOGNORMAL, 1.0, 0.2),
            (Distribution.LOGNORMAL, 0.0, 0.0),
        ],
    )
    def test_mean_and_deviation(self, distribution: Distribution, spread: float, deviation: float) -> None:
        """As the file says."""
        time, chance = ServiceTime(mean=0.2, distribution=distribution, spread=spread), random.Random(3)
        drawn = [time.draw(chance) for _ in range(50_000)]

        assert pytest.approx(0.2, rel=0.03) == statistics.mean(drawn)
        assert pytest.approx(deviation, rel=0.1, abs=1e-9) == statistics.pstdev(drawn)

    @pytest.mark.parametrize("distribution", Distribution)
    def test_no_time_at_all(self, distribution: Distribution) -> None:
        """A mean of 0 is 0."""
        assert 0.0 == ServiceTime(mean=0.0, distribution=distribution).draw(random.Random(1))

    def test_the_seed_decides(self) -> None:
        """The same seed, the same times; another one, others; and one kind does not disturb another."""

        def times(seed: int, *before: str) -> list[float]:
            line = queue(workers=100, enrol=ServiceTime(mean=1.0), seed=seed)
            for kind in before:
                line.arrive(kind, 0.0)
            return [turn.ends for _ in range(5) if (turn := line.arrive("enrol", 0.0))]

        assert times(1) == times(1)
        assert times(1) != times(2)
        assert times(1) == times(1, "heartbeat", "cacerts")


def test_the_documented_defaults() -> None:
    """50 threads and a queue without limit (section 9)."""
    assert (50, None) == (ServiceModel().workers, ServiceModel().queue)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("workers = 5\nqueues = 3\n", "slow.toml, line 2: unknown key queues"),
        ("[times.enrol]\nmean = 1.0\n[times.boot]\nmean = 1.0\n", "slow.toml, line 3: unknown key times.boot"),
        ("workers = 0\n", "slow.toml, line 1: workers"),
        ("[times.enrol]\nmean = -1.0\n", "slow.toml, line 2: times.enrol.mean"),
        ("[times.enrol]\nspread = 1.0\n", "slow.toml, line 1: times.enrol: "),
        ("[times.enrol]\nmean = 1.0\ndistribution = 'pareto'\n", "slow.toml, line 3: times.enrol.distribution"),
        ("[times.enrol]\nmean = nan\n", "slow.toml, line 2: times.enrol.mean"),
        ("reject_status = 404\n", "slow.toml, line 1: reject_status"),
        ("workers = \n", "slow.toml is not TOML"),
    ],
)
def test_wrong_files(tmp_path: Path, text: str, said: str) -> None:
    """The line, the key, and what is wrong."""
    (tmp_path / "slow.toml").write_text(text)

    with pytest.raises(SettingsError, match=re.escape(said)):
        load(ServiceModel, file=tmp_path / "slow.toml", environment={}, flags=[])
