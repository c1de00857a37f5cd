# SPDX-License-Identifier: Apache-2.0
"""Read what fleets of simulated devices measured.

Examples:
    umslab fleet report run.json --html run.html --junit run.xml
    umslab fleet report run.json --threshold "managed.p99 < 5s"
    umslab fleet compare flat.json backoff.json
"""

from __future__ import annotations

import typer

from umslab.cli.fleet.compare import compare
from umslab.cli.fleet.report import report
from umslab.cli.output import SETTINGS, help_text

app = typer.Typer(no_args_is_help=True, help=help_text(__doc__), **SETTINGS)
app.command("report")(report)
app.command("compare")(compare)
