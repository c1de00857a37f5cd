# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl connectors`: the addresses devices connect to."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from umslab.cli.ctl.asking import call
from umslab.cli.output import SETTINGS, JsonOption, StateOption, print_json, print_table
from umslab_protocol.wire.orders import ConnectorType

app = typer.Typer(no_args_is_help=True, help="The addresses devices connect to.", **SETTINGS)

Address = Annotated[str, typer.Argument(metavar="HOST[:PORT]", help="Name or address; the port is 8443 without one.")]


@app.command("list")
def list_connectors(*, state: StateOption = None, as_json: JsonOption = False) -> None:
    """List the addresses, and tell how many devices hold this list."""
    _print(call(state, "connectors.list"), as_json=as_json)


@app.command("add")
def add_connector(
    kind: Annotated[ConnectorType, typer.Argument(metavar="TYPE", help="ums, icg or undefined.")],
    address: Address,
    *,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add an address; devices that are connected are told at once, others when they come."""
    _print(call(state, "connectors.add", type=kind, address=address), as_json=as_json)


@app.command("remove")
def remove_connector(address: Address, *, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Remove an address that was added."""
    _print(call(state, "connectors.remove", address=address), as_json=as_json)


def _print(result: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json("connectors", result)
        return
    print_table(
        ("type", "host", "port", "origin"),
        ((one["type"], one["host"], one["port"], one["origin"]) for one in result["connectors"]),
        empty="no connectors",
    )
    if result["enrolment"]:
        print(f"devices enrol at {result['enrolment']}")
    if result["sent"]:
        print(f"{result['acknowledged']} of {result['active']} active devices hold this list")
    else:
        print("no list is sent: devices keep the address they came in by")
