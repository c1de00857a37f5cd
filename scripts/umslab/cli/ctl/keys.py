# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl keys`: first-authentication keys."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from umslab.cli.ctl.asking import call
from umslab.cli.output import SETTINGS, JsonOption, StateOption, print_json, print_pairs, print_table
from umslab_protocol.values.auth_key import KeyKind

app = typer.Typer(no_args_is_help=True, help="First-authentication keys.", **SETTINGS)

KeyNumber = Annotated[int, typer.Argument(metavar="ID", help="Number of the key, as `keys list` shows it.")]


@app.command("create")
def create_keys(
    *,
    kind: Annotated[KeyKind, typer.Option(help="one-time, bound (to a unit ID) or mass.")] = KeyKind.ONE_TIME,
    count: Annotated[int, typer.Option(min=1, max=100_000, help="How many.")] = 1,
    key: Annotated[str | None, typer.Option("--key", help="The text of the key; default: random digits.")] = None,
    unit_id: Annotated[
        list[str] | None, typer.Option("--unit-id", metavar="ID", help="Owner of a bound key; may be repeated.")
    ] = None,
    label: Annotated[str, typer.Option(help="A note for people.")] = "",
    user: Annotated[str, typer.Option(metavar="MAIL", help="Who onboards with it: a mail address.")] = "",
    role: Annotated[str, typer.Option(help="The role of that user.")] = "",
    csv: Annotated[bool, typer.Option("--csv", help="Print `id;kind;key;unit ID` lines.")] = False,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make keys and print them."""
    made = call(
        state, "keys.create", kind=kind, count=count, chosen=key, bound_to=unit_id or [], label=label, user=user,
        role=role,
    )  # fmt: skip
    _print_keys(made, as_json=as_json, csv=csv)


@app.command("list")
def list_keys(
    *,
    secrets: Annotated[bool, typer.Option("--secrets", help="Show the keys themselves too.")] = False,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """List all keys with their use counts."""
    _print_keys(call(state, "keys.list", secrets=secrets), as_json=as_json)


@app.command("export")
def export_keys(*, state: StateOption = None) -> None:
    """Print all keys as CSV: `id;kind;key;unit ID;state`."""
    _print_keys(call(state, "keys.list", secrets=True), as_json=False, csv=True)


@app.command("show")
def show_key(number: KeyNumber, *, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Show one key."""
    key = call(state, "keys.show", id=number)
    if as_json:
        print_json("key", key)
    else:
        print_pairs((name.replace("_", " "), value) for name, value in key.items())


@app.command("disable")
def disable_key(number: KeyNumber, *, state: StateOption = None) -> None:
    """Let a key open nothing until it is enabled again."""
    call(state, "keys.enable", id=number, enabled=False)


@app.command("enable")
def enable_key(number: KeyNumber, *, state: StateOption = None) -> None:
    """Let a disabled key open again what it opened."""
    call(state, "keys.enable", id=number, enabled=True)


@app.command("delete")
def delete_key(number: KeyNumber, *, state: StateOption = None) -> None:
    """Delete a key; devices that enrolled with it stay."""
    call(state, "keys.delete", id=number)


def _print_keys(keys: list[dict[str, Any]], *, as_json: bool, csv: bool = False) -> None:
    if as_json:
        print_json("keys", keys)
    elif csv:
        for key in keys:
            fields = (key["id"], key["kind"], key["secret"], key["bound_to"] or key["used_by"] or "", key["state"])
            print(";".join(map(str, fields)))
    else:
        print_table(
            ("id", "kind", "key", "state", "uses", "unit ID", "label"),
            (
                (
                    key["id"], key["kind"], key["secret"] or "(hidden)", key["state"], key["uses"],
                    key["bound_to"] or key["used_by"], key["label"],
                )
                for key in keys
            ),
            empty="no keys; make one with `umslab ctl keys create`",
        )  # fmt: skip
