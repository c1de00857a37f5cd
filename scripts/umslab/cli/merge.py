# SPDX-License-Identifier: Apache-2.0
"""Make one report of those of a fleet's shards, exactly.

Examples:
    umslab merge shard-1.json shard-2.json -o run.json
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from umslab import exit_codes
from umslab.cli.fleet.report import with_errors
from umslab.cli.output import SETTINGS, JsonOption, help_text, print_json
from umslab.fleet.report_files import read_report, write_output
from umslab.fleet.summary import document
from umslab.fleet.telling import print_report
from umslab_agent.fleet.merging import merge_reports
from umslab_agent.fleet.report import encode_report, outcome

app = typer.Typer(**SETTINGS)


@app.command(help=help_text(__doc__))
def merge(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="The reports of the shards.")],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Where to write the whole report.")],
    as_json: JsonOption = False,
) -> None:
    """Merge, write, show; the exit code is that of the whole run: 3 also when a shard is missing."""
    with_errors(lambda: _merge(files, out, as_json=as_json))


def _merge(files: list[Path], out: Path, *, as_json: bool) -> None:
    merged = merge_reports([read_report(file) for file in files])
    write_output(out, encode_report(merged))
    if as_json:
        print_json("report", document(merged))
    else:
        print_report(merged)
    came = outcome(merged)
    if came.missed:
        raise typer.Exit(exit_codes.MISSED)
    if came.failed or merged.missing:
        raise typer.Exit(exit_codes.FAILED)
