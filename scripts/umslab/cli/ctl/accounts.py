# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl accounts`: UMS users with which OS 11 devices are registered by hand."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from umslab.cli.ctl.asking import call
from umslab.cli.output import SETTINGS, JsonOption, StateOption, print_json, print_table

app = typer.Typer(no_args_is_help=True, help="UMS users with which OS 11 devices are registered by hand.", **SETTINGS)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the user.")]


@app.command("create")
def create_account(
    name: Name,
    *,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read the password from the first line of input.")] = False,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a user; without --stdin a random password is made and printed, now and never again."""
    password = sys.stdin.readline().rstrip("\r\n") if stdin else None
    account = call(state, "accounts.create", name=name, password=password)
    if stdin:
        account["password"] = None
    if as_json:
        print_json("account", account)
    else:
        print(f"{account['name']}: made" if stdin else account["password"])


@app.command("list")
def list_accounts(*, state: StateOption = None, as_json: JsonOption = False) -> None:
    """List the users."""
    accounts = call(state, "accounts.list")
    if as_json:
        print_json("accounts", accounts)
        return
    print_table(
        ("name", "made"),
        ((one["name"], one["created_at"]) for one in accounts),
        empty="no users; make one with `umslab ctl accounts create NAME`",
    )


@app.command("delete")
def delete_account(name: Name, *, state: StateOption = None) -> None:
    """Delete a user; devices that were registered with it stay."""
    call(state, "accounts.delete", name=name)
