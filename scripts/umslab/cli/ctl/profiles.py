# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl profiles`: profiles and priority profiles."""

from __future__ import annotations

from typing import Annotated

import typer

from umslab.cli.ctl.asking import call
from umslab.cli.ctl.changing import Names, Values, When, WhenOption, add_assigning, pairs, print_outcome
from umslab.cli.output import SETTINGS, JsonOption, StateOption, print_json, print_pairs, print_table

app = typer.Typer(no_args_is_help=True, help="Profiles: parameters that are assigned together.", **SETTINGS)

Profile = Annotated[str, typer.Argument(metavar="PROFILE", help="Name or number of the profile.")]


@app.command("list")
def list_profiles(*, state: StateOption = None, as_json: JsonOption = False) -> None:
    """List profiles; the global one comes first, once it has parameters."""
    profiles = call(state, "profiles.list")
    if as_json:
        print_json("profiles", profiles)
        return
    print_table(
        ("id", "name", "kind", "parameters", "receivers", "changed"),
        (
            (one["id"], one["name"], one["kind"], one["parameters"], one["receivers"], one["updated_at"])
            for one in profiles
        ),
        empty="no profiles; make one with `umslab ctl profiles create`",
    )


@app.command("create")
def create_profile(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name.")],
    values: Annotated[list[str] | None, typer.Argument(metavar="[NAME=VALUE...]", help="Its parameters.")] = None,
    *,
    priority: Annotated[bool, typer.Option("--priority", help="Apply it after, so over, all others.")] = False,
    state: StateOption = None,
) -> None:
    """Make a profile. Example: `profiles create kiosk x.session0.title=Kiosk`."""
    kind = "priority" if priority else "profile"
    made = call(state, "profiles.create", name=name, kind=kind, settings=pairs(values or []))
    print(f"profile {made['id']} created")


@app.command("show")
def show_profile(profile: Profile, *, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Show a profile with its parameters."""
    shown = call(state, "profiles.show", which=profile)
    if as_json:
        print_json("profile", shown)
        return
    settings = shown.pop("settings")
    print_pairs((name.replace("_", " "), value) for name, value in shown.items())
    print_table(("parameter", "value"), sorted(settings.items()), empty="no parameters")


@app.command("set")
def set_parameters(profile: Profile, values: Values, *, when: WhenOption = When.NOW, state: StateOption = None) -> None:
    """Set parameters. Example: `profiles set kiosk x.session0.title=Desk`."""
    print_outcome(call(state, "profiles.edit", which=profile, values=pairs(values), when=when))


@app.command("unset")
def unset_parameters(profile: Profile, names: Names, *, when: WhenOption = When.NOW, state: StateOption = None) -> None:
    """Take parameters out, so that they have their default again."""
    print_outcome(call(state, "profiles.edit", which=profile, remove=names, when=when))


@app.command("rename")
def rename_profile(
    profile: Profile, name: Annotated[str, typer.Argument(metavar="NAME")], *, state: StateOption = None
) -> None:
    """Give a profile another name."""
    call(state, "profiles.rename", which=profile, name=name)


@app.command("delete")
def delete_profile(profile: Profile, *, when: WhenOption = When.NOW, state: StateOption = None) -> None:
    """Delete a profile; whoever had it loses its values."""
    print_outcome(call(state, "profiles.delete", which=profile, when=when))


add_assigning(app, "profile", "kiosk")
