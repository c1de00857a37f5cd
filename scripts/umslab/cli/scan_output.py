# SPDX-License-Identifier: Apache-2.0
"""What `umslab scan` and `umslab ctl scan` have in common: how a scan is said and shown."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from umslab import exit_codes
from umslab.cli.output import print_json, print_table

RangesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[RANGE]...", help="192.0.2.7, 192.0.2.0/24, 192.0.2.7-30; none: a broadcast."),
]
TimeoutOption = Annotated[float, typer.Option(min=0.1, max=60, help="Seconds from the last probe to the end.")]
PortOption = Annotated[int, typer.Option(min=1, max=65_535, help="Where devices listen.")]
TcpOption = Annotated[bool, typer.Option("--tcp", help="Ask over TCP, one connection an address; no broadcast.")]


class Progress:
    """Tells how far a scan is whenever another tenth of it is done, or of those that are ordered to register."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._told = (0, 0)

    def take(self, progress: dict[str, int]) -> None:
        """Take how far it is."""
        tenth = progress["asked"] * 10 // progress["addresses"]
        ordered, registered = progress.get("ordered", 0), progress.get("registered", 0)
        told = (tenth, 1 + registered * 10 // ordered if ordered else 0)
        if told != self._told and not self._quiet:
            text = f"{progress['asked']} of {progress['addresses']} addresses asked, {progress['found']} devices found"
            if ordered:
                text = f"{ordered} devices ordered to register, {registered} have"
            print(text, file=sys.stderr, flush=True)
        self._told = told


def print_report(report: dict[str, Any], *, as_json: bool) -> None:
    """Print what a scan found; exit code 3 when nobody was found, or somebody was not registered who was to be."""
    if as_json:
        print_json("scan", report)
    else:
        print_table(
            ("unit ID", "MAC", "name", "address", "product", "firmware", "has a UMS", "here"),
            (
                (
                    one["unit_id"],
                    one["mac"],
                    one["name"],
                    one["address"],
                    one["product"],
                    one["firmware"],
                    one["has_ums"],
                    one["known"],
                )
                for one in report["devices"]
            ),
            empty="nobody answered",
        )
        for address, why in list(report["refused"].items())[:3]:
            print(f"not asked: {address}: {why}")
        odd = {name: count for name, count in report["answers"].items() if name != "new"}
        if odd:
            print("answers that did not count: " + ", ".join(f"{count} {name}" for name, count in odd.items()))
        for one in report["registrations"]:
            print(f"{one['unit_id']}: " + ("registered" if one["registered"] else f"not registered: {one['why']}"))
    complete = all(one["registered"] for one in report["registrations"])
    raise SystemExit(exit_codes.OK if report["devices"] and complete else exit_codes.FAILED)
