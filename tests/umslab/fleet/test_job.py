# SPDX-License-Identifier: Apache-2.0
"""Jobs and what is told pass between processes unchanged."""

from __future__ import annotations

import msgspec
import pytest

from umslab.fleet.job import Job, Told
from umslab.fleet.loading import load_scenario, shipped_names
from umslab_agent.fleet.report import Backend


@pytest.mark.parametrize("name", shipped_names())
def test_a_job_comes_across(name: str) -> None:
    """With its whole scenario."""
    job = Job(
        scenario=load_scenario(name, [("devices", 3)]),
        target="localhost:8443",
        backend=Backend(target="localhost:8443", product="umslab"),
        own=("ums.lab",),
        shard=2,
        of=4,
    )

    assert job == msgspec.json.decode(msgspec.json.encode(job), type=Job)


def test_what_is_told_comes_across() -> None:
    """Levels, and a report as it was written."""
    told = Told(levels={"managed": 3}, seconds=1.5)
    report = Told(report=msgspec.Raw(b'{"a": [1]}'))

    assert told == msgspec.json.decode(msgspec.json.encode(told), type=Told)
    assert b'{"a": [1]}' == bytes(msgspec.json.decode(msgspec.json.encode(report), type=Told).report)
    assert b"{}" == msgspec.json.encode(Told())
