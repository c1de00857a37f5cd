# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl apps`: apps that devices can be told to have."""

from __future__ import annotations

from typing import Annotated

import typer

from umslab.cli.ctl.asking import call
from umslab.cli.ctl.changing import When, WhenOption, add_assigning, print_outcome
from umslab.cli.output import SETTINGS, JsonOption, StateOption, print_json, print_table

app = typer.Typer(no_args_is_help=True, help="Apps that devices can be told to have.", **SETTINGS)


@app.command("list")
def list_apps(*, state: StateOption = None, as_json: JsonOption = False) -> None:
    """List apps."""
    apps = call(state, "apps.list")
    if as_json:
        print_json("apps", apps)
        return
    print_table(
        ("id", "name", "version", "receivers"),
        ((one["id"], one["name"], one["version"], one["receivers"]) for one in apps),
        empty="no apps; make one known with `umslab ctl apps create`",
    )


@app.command("create")
def create_app(
    name: Annotated[str, typer.Argument(metavar="NAME", help="For example chromium.")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="For example 131.0.")],
    *,
    state: StateOption = None,
) -> None:
    """Make an app known. Example: `apps create chromium 131.0`."""
    print(f"app {call(state, 'apps.create', name=name, version=version)['id']} created")


@app.command("delete")
def delete_app(
    which: Annotated[str, typer.Argument(metavar="APP", help="Name, NAME@VERSION or number.")],
    *,
    when: WhenOption = When.NOW,
    state: StateOption = None,
) -> None:
    """Forget an app; whoever had it is to remove it."""
    print_outcome(call(state, "apps.delete", which=which, when=when))


add_assigning(app, "app", "chromium@131.0")
