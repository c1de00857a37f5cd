# SPDX-License-Identifier: Apache-2.0
"""`umslab fleet report`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from umslab import exit_codes
from umslab.cli.output import JsonOption, UserError, print_json
from umslab.fleet.junit import junit
from umslab.fleet.page import page
from umslab.fleet.pictures import write_pictures
from umslab.fleet.report_files import read_report, write_output
from umslab.fleet.summary import document
from umslab.fleet.telling import print_report
from umslab_agent.fleet.report import MOST_THRESHOLDS, ReportError, RunReport, judge_thresholds, outcome

ReportArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The report that a run or a merge wrote.")]
ThresholdOption = Annotated[
    list[str] | None,
    typer.Option(
        "--threshold", metavar="RULE", help='Such as "managed.p99 < 5s" or "failed < 1%"; more than one may be.'
    ),
]


def report(
    file: ReportArgument,
    *,
    html: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write one page with charts, readable offline.")
    ] = None,
    junit_file: Annotated[Path | None, typer.Option("--junit", metavar="OUT", help="Write JUnit XML.")] = None,
    svg: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write each chart of the page as a picture of its own.")
    ] = None,
    thresholds: ThresholdOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the report of a run, and write it in other forms.

    With --threshold it is judged anew: the exit code is 99 when one is missed. Without, it is 0.
    """
    with_errors(lambda: _report(file, html, junit_file, svg, thresholds, as_json=as_json))


def _report(
    file: Path,
    html: Path | None,
    junit_file: Path | None,
    svg: Path | None,
    thresholds: list[str] | None,
    *,
    as_json: bool,
) -> None:
    found = read_report(file)
    if thresholds:
        found = with_thresholds(found, thresholds)
    if html is not None:
        write_output(html, page(found).encode())
    if junit_file is not None:
        write_output(junit_file, junit(found).encode())
    if svg is not None:
        write_pictures(found, svg, file.stem)
    if as_json:
        print_json("report", document(found))
    else:
        print_report(found)
    if thresholds and outcome(found).missed:
        raise typer.Exit(exit_codes.MISSED)


def with_thresholds(found: RunReport, texts: list[str]) -> RunReport:
    """Return the report judged by other thresholds. Raises `InvalidValueError` for one that is none."""
    if len(texts) > MOST_THRESHOLDS:
        raise UserError(f"at most {MOST_THRESHOLDS} thresholds", exit_codes.USAGE)
    return msgspec.structs.replace(found, thresholds=judge_thresholds(texts, found.measured))


def with_errors(do: Callable[[], None]) -> None:
    """Do it; what is wrong with a report is told in a sentence."""
    try:
        do()
    except ReportError as error:
        raise UserError(str(error)) from None
