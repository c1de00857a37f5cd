# SPDX-License-Identifier: Apache-2.0
"""What the verbs have in common that change what devices are to have."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from umslab import exit_codes
from umslab.cli.ctl.asking import call
from umslab.cli.output import JsonOption, StateOption, UserError, print_json, print_table
from umslab.printable import printable


class When(StrEnum):
    """When devices get a change."""

    NOW = "now"
    REBOOT = "reboot"


WhenOption = Annotated[
    When, typer.Option("--when", help="`now`, or `reboot`: keep it until each device has booted next.")
]
Receivers = Annotated[
    list[str], typer.Argument(metavar="RECEIVER...", help="Paths of directories (/Bremen) and unit IDs.")
]
Which = Annotated[str, typer.Argument(metavar="NAME", help="Name or number; an app also as NAME@VERSION.")]
Values = Annotated[list[str], typer.Argument(metavar="NAME=VALUE...", help="For example x.session0.title=Kiosk.")]
Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="Parameters that are to have their default again.")]


def pairs(values: list[str]) -> dict[str, str]:
    """Read `NAME=VALUE` texts. Raises `UserError`."""
    for value in values:
        if "=" not in value:
            raise UserError(f"{printable(value)} is not NAME=VALUE", exit_codes.USAGE)
    return {name: text for name, _, text in (value.partition("=") for value in values)}


def print_outcome(outcome: dict[str, Any]) -> None:
    """Tell how many devices a change concerns, and what the sizing guide says to it."""
    count = outcome["devices"]
    print(f"{count} {'device is' if count == 1 else 'devices are'} to have something else now")
    for warning in outcome["warnings"]:
        print_warning(warning)


def print_warning(warning: str) -> None:
    """Tell of something that works and is not advised; nothing when there is no such thing."""
    if warning:
        print(f"warning: {printable(warning)}")


def add_assigning(app: typer.Typer, object_type: str, example: str) -> None:
    """Add the verbs `assign`, `unassign` and `receivers` for one type of object."""

    @app.command("assign", help=f"Assign to directories and devices. Example: assign {example} /Bremen 00E0C5123456")
    def assign(
        name: Which,
        receivers: Receivers,
        *,
        position: Annotated[
            int | None, typer.Option(min=1, help="From 1; what is applied later wins. Default: last.")
        ] = None,
        when: WhenOption = When.NOW,
        state: StateOption = None,
    ) -> None:
        print_outcome(
            call(
                state, "assignments.assign", type=object_type, which=name, receivers=receivers, position=position,
                when=when,
            )
        )  # fmt: skip

    @app.command("unassign", help="Take back from directories and devices.")
    def unassign(name: Which, receivers: Receivers, *, when: WhenOption = When.NOW, state: StateOption = None) -> None:
        print_outcome(call(state, "assignments.unassign", type=object_type, which=name, receivers=receivers, when=when))

    @app.command("receivers", help="Show to whom it is assigned.")
    def receivers_of(name: Which, *, state: StateOption = None, as_json: JsonOption = False) -> None:
        print_assignments(call(state, "assignments.of-object", type=object_type, which=name), as_json=as_json)


def print_assignments(assignments: list[dict[str, Any]], *, as_json: bool) -> None:
    """Print who has what, in the order of application."""
    if as_json:
        print_json("assignments", assignments)
        return
    print_table(
        ("receiver", "position", "type", "id", "name"),
        (
            (one["receiver"], one["position"], one["object_type"], one["object_id"], one["object"])
            for one in assignments
        ),
        empty="no assignments",
    )
