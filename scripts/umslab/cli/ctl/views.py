# SPDX-License-Identifier: Apache-2.0
"""Saved searches over the registry, to look at devices and to address them.

Examples:
    umslab ctl views create bremen --structure-tag "HB-*" --online
    umslab ctl views show bremen
    umslab ctl command reboot --view bremen
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from umslab.cli.ctl.asking import call
from umslab.cli.output import SETTINGS, JsonOption, StateOption, help_text, print_json, print_pairs, print_table

app = typer.Typer(no_args_is_help=True, help=help_text(__doc__), **SETTINGS)


class ConfigChanges(StrEnum):
    """Whether a device has the settings it is to have."""

    PENDING = "PENDING"
    APPLIED = "APPLIED"


ViewArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the view.")]


def _option(name: str, text: str) -> Any:
    return typer.Option(name, metavar="TEXT", help=text)


@app.command("create")
def create_view(
    view: ViewArgument,
    *,
    name: Annotated[str | None, _option("--name", "Name of the device; * and ? stand for others.")] = None,
    structure_tag: Annotated[str | None, _option("--structure-tag", "Structure tag; * and ? as above.")] = None,
    firmware: Annotated[str | None, _option("--firmware", "Firmware, for example 12.8.4 or 12.8.*.")] = None,
    onboarded_by: Annotated[str | None, _option("--onboarded-by", "Mail address; * and ? as above.")] = None,
    directory: Annotated[str | None, _option("--dir", "Directory with all below it; path or number.")] = None,
    online: Annotated[bool | None, typer.Option("--online/--offline", help="Connected now, or not.")] = None,
    config_changes: Annotated[ConfigChanges | None, typer.Option(help="State of the settings.")] = None,
    not_seen_for_days: Annotated[
        float | None, typer.Option("--not-seen-for", metavar="DAYS", min=0, help="Last contact is longer ago.")
    ] = None,
    app_name: Annotated[str | None, _option("--app", "Has this app installed.")] = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Save a search; all that is given has to be true of a device."""
    criteria = {
        "name": name,
        "structure_tag": structure_tag,
        "firmware": firmware,
        "onboarded_by": onboarded_by,
        "directory": directory,
        "online": online,
        "config_changes": config_changes,
        "not_seen_for_days": not_seen_for_days,
        "app": app_name,
    }
    made = call(state, "views.create", view=view, criteria=criteria)
    if as_json:
        print_json("view", made)


@app.command("list")
def list_views(*, state: StateOption = None, as_json: JsonOption = False) -> None:
    """List all views."""
    views = call(state, "views.list")
    if as_json:
        print_json("views", views)
        return
    print_table(
        ("view", "criteria", "made"),
        ((one["name"], _criteria(one), one["created_at"]) for one in views),
        empty="no views; make one with `umslab ctl views create`",
    )


@app.command("show")
def show_view(view: ViewArgument, *, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Show a view and the devices in it now."""
    result = call(state, "views.show", view=view)
    if as_json:
        print_json("view", result)
        return
    print_pairs([("view", result["view"]["name"]), ("criteria", _criteria(result["view"]))])
    print_found(result["devices"])


@app.command("delete")
def delete_view(view: ViewArgument, *, state: StateOption = None) -> None:
    """Delete a view; the devices stay."""
    call(state, "views.delete", view=view)


def print_found(devices: list[dict[str, Any]]) -> None:
    """Print the devices that a search found."""
    print_table(
        ("unit ID", "name", "online", "firmware", "structure tag", "last contact"),
        (
            (one["unit_id"], one["name"], one["online"], one["firmware"], one["structure_tag"], one["last_contact"])
            for one in devices
        ),
        empty="no devices",
    )


def _criteria(view: dict[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in view["criteria"].items())
