# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl settings`: what devices are to have, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from umslab.cli.ctl.asking import call
from umslab.cli.ctl.changing import (
    Names,
    Values,
    When,
    WhenOption,
    pairs,
    print_assignments,
    print_outcome,
    print_warning,
)
from umslab.cli.ctl.profiles import show_profile
from umslab.cli.ctl.selecting import AllOption, DirOption, UnitIdsArgument, ViewOption, select
from umslab.cli.output import SETTINGS, JsonOption, StateOption, print_json, print_pairs, print_table

app = typer.Typer(no_args_is_help=True, help="What devices are to have, and why.", **SETTINGS)
everybody = typer.Typer(no_args_is_help=True, help="The global profile, which everybody has.", **SETTINGS)
app.add_typer(everybody, name="global")


@app.command("show")
def show_settings(
    unit_id: Annotated[str, typer.Argument(metavar="UNIT_ID", help="Unit ID of the device.")],
    *,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a device is to have: each value with the profile it comes from."""
    shown = call(state, "settings.show", unit_id=unit_id)
    if as_json:
        print_json("settings", shown)
        return
    warning, lists = shown.pop("warning"), {name: shown.pop(name) for name in ("settings", "apps", "files")}
    print_pairs((name.replace("_", " "), value) for name, value in shown.items())
    print_table(
        ("parameter", "value", "from profile", "at", "instead of"),
        (
            (one["name"], one["value"], one["profile"], one["receiver"], "; ".join(one["overrides"]))
            for one in lists["settings"]
        ),
        empty="no parameters: all have their defaults",
    )
    for what in ("apps", "files"):
        if lists[what]:
            rows = ((one["name"], one["version"], one["receiver"]) for one in lists[what])
            print_table((what[:-1], "version" if what == "apps" else "SHA-256", "from"), rows, empty="")
    print_warning(warning)


@app.command("assigned")
def show_assigned(
    receiver: Annotated[str, typer.Argument(metavar="RECEIVER", help="Path of a directory, or a unit ID.")],
    *,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is assigned to a directory or device itself. Example: `settings assigned /Bremen`."""
    print_assignments(call(state, "assignments.of-receiver", receiver=receiver), as_json=as_json)


@app.command("send")
def send_settings(
    unit_ids: UnitIdsArgument = None,
    *,
    directory: DirOption = None,
    everyone: AllOption = False,
    view: ViewOption = None,
    state: StateOption = None,
) -> None:
    """Let devices have now what is kept for their reboot. Example: `settings send --dir /Bremen`."""
    chosen = select(state, unit_ids, directory, view, everyone=everyone)
    count = call(state, "settings.send", unit_ids=chosen)["devices"]
    print(f"{count} {'device gets' if count == 1 else 'devices get'} now what was kept for the next boot")


@everybody.command("show")
def show_global(*, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Show the global parameters."""
    show_profile("global", state=state, as_json=as_json)


@everybody.command("set")
def set_global(values: Values, *, when: WhenOption = When.NOW, state: StateOption = None) -> None:
    """Set parameters for everybody. Example: `settings global set system.timezone=Europe/Berlin`."""
    print_outcome(call(state, "profiles.edit", which="global", values=pairs(values), when=when))


@everybody.command("unset")
def unset_global(names: Names, *, when: WhenOption = When.NOW, state: StateOption = None) -> None:
    """Take parameters out, so that they have their default again."""
    print_outcome(call(state, "profiles.edit", which="global", remove=names, when=when))
