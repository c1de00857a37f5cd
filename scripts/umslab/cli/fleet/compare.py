# SPDX-License-Identifier: Apache-2.0
"""`umslab fleet compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from umslab.cli.fleet.report import with_errors
from umslab.cli.output import JsonOption, print_json, print_table
from umslab.fleet.comparing import Comparison
from umslab.fleet.comparing import compare as set_side_by_side
from umslab.fleet.report_files import read_report
from umslab.printable import printable


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="The report of one run.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="The report of another.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Set two runs side by side, with ratios: for example flat retry against back-off with jitter."""
    with_errors(lambda: _compare(first, second, as_json=as_json))


def _compare(first: Path, second: Path, *, as_json: bool) -> None:
    found = set_side_by_side(read_report(first), read_report(second))
    if as_json:
        document = msgspec.to_builtins(found)
        document["rows"] = [{**msgspec.to_builtins(row), "ratio": row.ratio} for row in found.rows]
        print_json("comparison", document)
        return
    print(f"A is {printable(str(first))}, B is {printable(str(second))}.")
    _print(found)


def _print(found: Comparison) -> None:
    for line in found.differences or ["nothing but the outcome"]:
        print(f"Different: {printable(line)}")
    print()
    rows = [
        (row.what, row.told(row.a), row.told(row.b), "" if row.ratio is None else f"{row.ratio:.2f}")
        for row in found.rows
    ]
    print_table(("what", "A", "B", "B / A"), rows, empty="")
    print()
    for line in found.remarks:
        print(line)
