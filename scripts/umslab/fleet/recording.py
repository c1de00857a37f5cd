# SPDX-License-Identifier: Apache-2.0
"""Makes the report of what shards have measured."""

from __future__ import annotations

import os
import platform
import ssl
import sys
from typing import TYPE_CHECKING

from umslab import __version__
from umslab.fleet.machine import this_machine
from umslab_agent.fleet.report import Machine, PlanIdentity, RunReport, ShardRun, judge_thresholds
from umslab_agent.fleet.scenario import Flat

if TYPE_CHECKING:
    from datetime import datetime

    from umslab_agent.fleet.measured import Measured
    from umslab_agent.fleet.plan import Plan
    from umslab_agent.fleet.report import Backend
    from umslab_agent.fleet.scenario import Retry

MOST_NOTES = 100
MAX_NOTE = 200


def make_report(
    plan: Plan,
    measured: Measured,
    *,
    backend: Backend,
    started: datetime,
    notes: list[str],
    interrupted: bool,
    processes: int = 1,
) -> RunReport:
    """Return the report of this plan, or of this shard of it."""
    number, of = plan.shard
    scenario = plan.scenario
    return RunReport(
        plan=PlanIdentity(
            digest=plan.digest,
            scenario=scenario.name,
            seed=scenario.seed,
            devices=scenario.devices,
            phases=[phase.kind for phase in plan.phases],
            retry=in_words(scenario.retry),
        ),
        of_shards=of,
        shards=[
            ShardRun(
                number=number,
                started=f"{started:%Y-%m-%dT%H:%M:%S.%f}Z",
                seconds=measured.seconds,
                machine=_this_machine(),
                processes=processes,
                interrupted=interrupted,
            )
        ],
        backend=backend,
        measured=measured,
        thresholds=judge_thresholds(list(scenario.thresholds), measured),
        notes=[note[:MAX_NOTE] for note in dict.fromkeys(notes)][:MOST_NOTES],
    )


def in_words(retry: Retry) -> str:
    """Return a retry policy as a report tells it."""
    jitter = f", of which chance decides {retry.jitter:.0%}" if retry.jitter else ""
    if isinstance(retry, Flat):
        return f"flat: {retry.seconds:g} s{jitter}"
    growth = f"{retry.first_seconds:g} s, then {retry.factor:g} times the last, at most {retry.most_seconds:g} s"
    return f"exponential: {growth}{jitter}"


def _this_machine() -> Machine:
    return Machine(
        system=platform.platform()[:200],
        processors=this_machine().cores,
        memory=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        python=sys.version.split()[0],
        openssl=ssl.OPENSSL_VERSION,
        umslab=__version__,
    )
