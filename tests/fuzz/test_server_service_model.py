# SPDX-License-Identifier: Apache-2.0
"""Any file and any sequence of arrivals: a clear error or a model, and a queue that keeps its bounds and its order."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from umslab.settings import SettingsError, load
from umslab_server.service_model import Distribution, ServiceModel, ServiceQueue, ServiceTime, ServiceTimes

KINDS = ServiceTimes.__struct_fields__
WORDS = st.sampled_from(
    ["workers", "queue", "seed", "times", "enrol", "mean", "[times.enrol]", "[", "]", "=", "\n", " ", ".", "'", "1e400",
     "nan", "-inf", "0", "5", "constant", "spread", "{}", "2020-01-01", "\x00", "\udce4"]
)  # fmt: skip


@given(text=st.one_of(st.text(max_size=200), st.lists(WORDS, max_size=30).map("".join)))
@settings(max_examples=200, deadline=None)
def test_any_file(text: str) -> None:
    """It is a model, or an error of ours."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "slow.toml"
        file.write_bytes(text.encode("utf-8", "surrogateescape" if "\udce4" in text else "surrogatepass"))
        with suppress(SettingsError):
            assert load(ServiceModel, file=file, environment={}, flags=[]).workers >= 1


TIMES = st.builds(
    ServiceTime,
    mean=st.floats(0, 3_600),
    distribution=st.sampled_from(Distribution),
    spread=st.floats(0, 10),
)
ARRIVALS = st.lists(st.tuples(st.sampled_from(KINDS), st.floats(0, 100)), max_size=60)


@given(
    workers=st.integers(1, 5),
    most=st.one_of(st.none(), st.integers(0, 5)),
    time=TIMES,
    arrivals=ARRIVALS,
)
@settings(max_examples=200, deadline=None)
def test_any_arrivals(workers: int, most: int | None, time: ServiceTime, arrivals: list[tuple[str, float]]) -> None:
    """Nobody begins before coming, or before somebody who came earlier; workers and queue are never exceeded."""
    line = ServiceQueue(ServiceModel(workers=workers, queue=most, times=ServiceTimes(enrol=time, connect=time)))
    now, last, taken = 0.0, 0.0, []
    for kind, gap in arrivals:
        now += gap
        turn = line.arrive(kind, now)
        if turn is not None:
            assert max(now, last) <= turn.begins <= turn.ends
            last = turn.begins
            taken.append(turn)
        else:
            assert most is not None
            assert most == line.waiting(now)
        assert sum(one.begins <= now < one.ends for one in taken) == line.busy(now) <= workers
        assert sum(one.begins > now for one in taken) == line.waiting(now)
        assert most is None or line.waiting(now) <= most


@given(seed=st.integers(), kinds=st.lists(st.sampled_from(KINDS), max_size=30))
@settings(max_examples=50, deadline=None)
def test_one_seed_one_sequence(seed: int, kinds: list[str]) -> None:
    """Whatever comes, twice the same turns."""
    one, other = (ServiceQueue(ServiceModel(workers=2, seed=seed)) for _ in range(2))

    assert [one.arrive(kind, 0.0) for kind in kinds] == [other.arrive(kind, 0.0) for kind in kinds]
