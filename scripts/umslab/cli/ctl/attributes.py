# SPDX-License-Identifier: Apache-2.0
"""Attributes of devices beyond those that every device has; values: `umslab ctl devices attribute`.

Examples:
    umslab ctl attributes create room --name "Room" --by ums
    umslab ctl attributes create floor --type range --allow ground --allow first
    umslab ctl attributes list
"""

from __future__ import annotations

from typing import Annotated

import typer

from umslab.cli.ctl.asking import call
from umslab.cli.output import SETTINGS, JsonOption, StateOption, help_text, print_json, print_table
from umslab_server.attribute_rules import AttributeKind, WrittenBy

app = typer.Typer(no_args_is_help=True, help=help_text(__doc__), **SETTINGS)

Identifier = Annotated[str, typer.Argument(metavar="IDENTIFIER", help="By which devices and people name it.")]


@app.command("list")
def list_attributes(*, state: StateOption = None, as_json: JsonOption = False) -> None:
    """List the definitions in their order."""
    attributes = call(state, "attributes.list")
    if as_json:
        print_json("attributes", attributes)
        return
    print_table(
        ("identifier", "name", "type", "allowed", "written by"),
        (
            (one["identifier"], one["name"], one["kind"], ", ".join(one["allowed"]), one["written_by"])
            for one in attributes
        ),
        empty="no device attributes; define one with `umslab ctl attributes create`",
    )


@app.command("create")
def create_attribute(
    identifier: Identifier,
    *,
    name: Annotated[str, typer.Option(help="For people; the identifier without it.")] = "",
    kind: Annotated[AttributeKind, typer.Option("--type", help="What values look like.")] = AttributeKind.STRING,
    allow: Annotated[list[str] | None, typer.Option(metavar="VALUE", help="Of a range; may be repeated.")] = None,
    by: Annotated[WrittenBy, typer.Option(help="Who may write values.")] = WrittenBy.BOTH,
    position: Annotated[int, typer.Option(min=0, help="In the list; equal ones in the order they were made.")] = 0,
    state: StateOption = None,
) -> None:
    """Define an attribute."""
    call(
        state,
        "attributes.create",
        identifier=identifier,
        name=name,
        kind=kind,
        allowed=allow or [],
        written_by=by,
        position=position,
    )


@app.command("delete")
def delete_attribute(identifier: Identifier, *, state: StateOption = None) -> None:
    """Delete a definition and the values that devices have."""
    print(f"{call(state, 'attributes.delete', identifier=identifier)['devices']} devices had a value")
