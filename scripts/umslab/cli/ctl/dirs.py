# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl dirs`: the tree of device directories."""

from __future__ import annotations

from typing import Annotated

import typer

from umslab.cli.ctl.asking import call
from umslab.cli.ctl.changing import When, WhenOption, print_outcome, print_warning
from umslab.cli.ctl.selecting import AllOption, DirOption, UnitIdsArgument, ViewOption, select
from umslab.cli.output import SETTINGS, JsonOption, StateOption, print_json, print_table

app = typer.Typer(no_args_is_help=True, help="The tree of device directories; / is its root.", **SETTINGS)

Directory = Annotated[str, typer.Argument(metavar="PATH", help="For example /Bremen/Office.")]
Target = Annotated[str, typer.Argument(metavar="TARGET", help="Path of the directory to move into.")]


@app.command("list")
def list_directories(*, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Show all directories and how many devices they hold."""
    directories = call(state, "dirs.list")
    if as_json:
        print_json("directories", directories)
        return
    print_table(
        ("directory", "id", "devices", "with those below"),
        ((one["path"], one["id"], one["devices"], one["devices_below"]) for one in directories),
        empty="no directories",
    )
    for one in directories:
        print_warning(one["warning"])


@app.command("create")
def create_directory(path: Directory, *, state: StateOption = None) -> None:
    """Make a directory, and those above it that are missing."""
    print(f"directory {call(state, 'dirs.create', path=path)['id']} created")


@app.command("rename")
def rename_directory(
    path: Directory,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new name, without a path.")],
    *,
    state: StateOption = None,
) -> None:
    """Give a directory another name. Example: `dirs rename /Bremen/Ofice Office`."""
    call(state, "dirs.rename", path=path, name=name)


@app.command("move")
def move_directory(path: Directory, target: Target, *, when: WhenOption = When.NOW, state: StateOption = None) -> None:
    """Move a directory with all in it below another. Example: `dirs move /Bremen/Office /Hamburg`."""
    print_outcome(call(state, "dirs.move", path=path, target=target, when=when))


@app.command("delete")
def delete_directory(path: Directory, *, state: StateOption = None) -> None:
    """Delete an empty directory that no default directory rule needs."""
    call(state, "dirs.delete", path=path)


@app.command("move-devices")
def move_devices(
    target: Target,
    unit_ids: UnitIdsArgument = None,
    *,
    directory: DirOption = None,
    everyone: AllOption = False,
    view: ViewOption = None,
    when: WhenOption = When.NOW,
    state: StateOption = None,
) -> None:
    """Move devices into a directory. Example: `dirs move-devices /Bremen 00E0C5123456`."""
    chosen = select(state, unit_ids, directory, view, everyone=everyone)
    print_outcome(call(state, "dirs.move-devices", target=target, unit_ids=chosen, when=when))
