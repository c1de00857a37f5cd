# SPDX-License-Identifier: Apache-2.0
"""Run many simulated devices against a UMS, from one scenario and one seed, and read what was measured.

Examples:
    umslab fleet run localhost --devices 100 --ramp 20s --auth-key KEY
    umslab fleet plan --devices 5000 --ramp 2m
    umslab fleet run localhost --scenario boot-storm --auth-key KEY --report run.json
    umslab fleet ctl status --state fleet
    umslab fleet report run.json --html run.html --junit run.xml
    umslab fleet report run.json --threshold "managed.p99 < 5s"
    umslab fleet compare flat.json backoff.json
"""

from __future__ import annotations

import typer

from umslab.cli.fleet import ctl
from umslab.cli.fleet.compare import compare
from umslab.cli.fleet.plan import plan
from umslab.cli.fleet.report import report
from umslab.cli.fleet.run import run
from umslab.cli.fleet.scenarios import scenarios
from umslab.cli.output import SETTINGS, help_text

app = typer.Typer(no_args_is_help=True, help=help_text(__doc__), **SETTINGS)
app.command("plan")(plan)
app.command("run")(run)
app.command("scenarios")(scenarios)
app.command("report")(report)
app.command("compare")(compare)
app.add_typer(ctl.app, name="ctl")
