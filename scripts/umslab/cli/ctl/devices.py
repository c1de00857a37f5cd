# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl devices`: the registry of devices and its recycle bin."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from umslab.cli.ctl.asking import call
from umslab.cli.ctl.changing import pairs
from umslab.cli.ctl.selecting import AllOption, DirOption, UnitIdsArgument, ViewOption, select
from umslab.cli.output import SETTINGS, JsonOption, StateOption, UserError, print_json, print_pairs, print_table

app = typer.Typer(no_args_is_help=True, help="The registry of devices and its recycle bin.", **SETTINGS)

UnitIds = Annotated[list[str], typer.Argument(metavar="UNIT_ID...", help="One unit ID or several.")]
UnitId = Annotated[str, typer.Argument(metavar="UNIT_ID", help="Unit ID of the device.")]


@app.command("list")
def list_devices(
    *,
    in_bin: Annotated[bool | None, typer.Option("--bin/--no-bin", help="Only those (not) in the recycle bin.")] = None,
    directory: Annotated[
        str | None, typer.Option("--dir", metavar="PATH", help="Only those in a directory and below it.")
    ] = None,
    pending: Annotated[
        bool | None, typer.Option("--pending/--applied", help="Only those that have (not) to acknowledge settings.")
    ] = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """List devices."""
    devices = call(state, "devices.list", in_bin=in_bin, directory=directory, pending=pending, brief=not as_json)
    if as_json:
        print_json("devices", devices)
        return
    print_table(
        ("unit ID", "name", "state", "OS", "firmware", "last IP", "directory", "settings", "last contact"),
        (
            (
                one["unit_id"], one["name"], _state(one), one["generation"], one["firmware"], one["last_ip"],
                one["directory"], one["config_changes"],
                one["last_contact"],
            )
            for one in devices
        ),
        empty="no devices",
    )  # fmt: skip


def _state(device: dict[str, Any]) -> str:
    """The state and what is laid over it, an exclamation mark as on the vendor's icon for waiting settings (8.1)."""
    state = device["state"]
    laid_over = ["!" if name == "exclamation" else name for name in device["overlays"] if name != state]
    return " ".join([state, *laid_over])


_TOLD = ("info", "runtime", "own_settings", "apps", "files", "licences", "attributes", "logons", "assets")


@app.command("show")
def show_device(
    unit_id: UnitId,
    *,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show all attributes of a device and its certificates."""
    device = call(state, "devices.show", unit_id=unit_id)
    if as_json:
        print_json("device", device)
        return
    certificates = device.pop("certificates")
    told = {name: device.pop(name) for name in _TOLD}
    device["overlays"] = ", ".join(device["overlays"])
    print_pairs((name.replace("_", " "), value) for name, value in device.items())
    for name in ("info", "runtime", "own_settings"):
        if values := told.pop(name):
            print_pairs(sorted((key, _words(value)) for key, value in values.items()))
    for name, rows in told.items():
        _print_rows(name, rows)
    print_table(
        ("certificate", "state", "issued", "expires", "first used"),
        (
            (one["serial"], one["state"], one["issued_at"], one["not_after"], one["first_used_at"])
            for one in certificates
        ),
        empty="no certificates",
    )


def _print_rows(name: str, rows: list[dict[str, Any]]) -> None:
    """Print a list that the device has told; what a row does not say is left empty."""
    if rows:
        members = list(dict.fromkeys(member for row in rows for member in row))
        print(f"{name}:")
        print_table(members, ([_words(row.get(member)) for member in members] for row in rows), empty="")


def _words(value: object) -> object:
    """A value for people: lists and objects without brackets."""
    if isinstance(value, dict):
        return " ".join(str(_words(one)) for one in value.values())
    return ", ".join(str(_words(one)) for one in value) if isinstance(value, list) else value


@app.command("edit")
def edit_device(
    unit_id: UnitId,
    values: Annotated[list[str], typer.Argument(metavar="NAME=VALUE...", help="For example site=Bremen.")],
    *,
    state: StateOption = None,
) -> None:
    """Change attributes that people keep: name, site, department, comment, ..."""
    named = {name.replace("-", "_"): text for name, text in pairs(values).items()}
    call(state, "devices.edit", unit_id=unit_id, values=named)


@app.command("attribute")
def write_attributes(
    unit_id: UnitId,
    values: Annotated[list[str], typer.Argument(metavar="IDENTIFIER=VALUE...", help="An empty value removes it.")],
    *,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write device attributes, which `umslab ctl attributes` defines, and show all that the device has."""
    attributes = call(state, "attributes.write", unit_id=unit_id, values=pairs(values))
    if as_json:
        print_json("attributes", attributes)
    else:
        print_pairs(attributes.items())


@app.command("delete")
def delete_devices(
    unit_ids: UnitIdsArgument = None,
    *,
    directory: DirOption = None,
    everyone: AllOption = False,
    view: ViewOption = None,
    state: StateOption = None,
) -> None:
    """Move devices into the recycle bin (or delete them, when it is off)."""
    chosen = select(state, unit_ids, directory, view, everyone=everyone)
    for unit_id, where in call(state, "devices.delete", unit_ids=chosen).items():
        print(f"{unit_id}: {'moved into the recycle bin' if where == 'in-bin' else 'deleted'}")


@app.command("restore")
def restore_devices(unit_ids: UnitIds, *, state: StateOption = None) -> None:
    """Take devices out of the recycle bin."""
    call(state, "devices.restore", unit_ids=unit_ids)


@app.command("purge")
def purge_devices(unit_ids: UnitIds, *, state: StateOption = None) -> None:
    """Delete devices for good; each is told so, now or when it next connects."""
    call(state, "devices.purge", unit_ids=unit_ids)


@app.command("revoke")
def revoke_device(
    unit_ids: UnitIdsArgument = None,
    *,
    directory: DirOption = None,
    everyone: AllOption = False,
    view: ViewOption = None,
    reason: Annotated[str, typer.Option(help="Told to the devices.")] = "revoked by the administrator",
    state: StateOption = None,
) -> None:
    """Revoke all certificates of devices (OS 11 devices have none: delete them)."""
    for unit_id in select(state, unit_ids, directory, view, everyone=everyone):
        print(f"{unit_id}: {call(state, 'devices.revoke', unit_id=unit_id, reason=reason)} certificates revoked")


@app.command("import")
def import_devices(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV in a documented form; - is standard input.")],
    *,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add devices that are known before they come, from a CSV file with semicolons."""
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read: {error}") from None
    result = call(state, "devices.import", csv=text)
    if as_json:
        print_json("imported", result)
    else:
        known = f"; known already: {', '.join(result['existing'])}" if result["existing"] else ""
        print(f"{result['added']} devices added{known}")
