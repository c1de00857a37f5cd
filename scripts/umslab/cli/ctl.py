# SPDX-License-Identifier: Apache-2.0
"""Manage a running server over its control socket.

Examples:
    umslab ctl status
    umslab ctl keys create --count 25
    umslab ctl devices list --json
    umslab ctl events --follow
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from umslab import exit_codes
from umslab.cli.output import (
    DEFAULT_STATE,
    SETTINGS,
    JsonOption,
    StateOption,
    UserError,
    help_text,
    print_json,
    print_json_line,
    print_pairs,
    print_table,
    run_async,
)
from umslab.printable import printable
from umslab_protocol.values.auth_key import KeyKind
from umslab_runtime.control import ControlError, connect_control
from umslab_server.state_folder import StateFolder, StateFolderError

app = typer.Typer(no_args_is_help=True, help=help_text(__doc__), **SETTINGS)
keys_app = typer.Typer(no_args_is_help=True, **SETTINGS)
devices_app = typer.Typer(no_args_is_help=True, **SETTINGS)
certs_app = typer.Typer(no_args_is_help=True, **SETTINGS)
app.add_typer(keys_app, name="keys", help="First-authentication keys.")
app.add_typer(devices_app, name="devices", help="The registry of devices and its recycle bin.")
app.add_typer(certs_app, name="certs", help="The certificates of the running server.")

UnitIds = Annotated[list[str], typer.Argument(metavar="UNIT_ID...", help="One unit ID or several.")]
UnitId = Annotated[str, typer.Argument(metavar="UNIT_ID", help="Unit ID of the device.")]
KeyNumber = Annotated[int, typer.Argument(metavar="ID", help="Number of the key, as `keys list` shows it.")]


def server_folder(state: Path | None) -> StateFolder:
    """The server's part of a state folder."""
    return StateFolder((state or DEFAULT_STATE).absolute() / "server")


def call(state: Path | None, name: str, on_item: Callable[[Any], None] | None = None, **args: Any) -> Any:
    """Ask the server that runs on this state folder. Raises `UserError`."""
    folder = server_folder(state)
    path = folder.control
    try:
        about = msgspec.json.decode(folder.about.read_bytes())
        path = Path(about["control"] or path)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        pass  # then the usual place

    async def ask() -> Any:
        async with connect_control(path) as client:
            return await client.call(name, on_item, **args)

    try:
        return run_async(ask)
    except ControlError as error:
        if error.code == "unreachable":
            hint = "start one with `umslab serve`, or name its state folder with --state"
            raise UserError(f"no server runs on {folder.path}: {hint}") from None
        raise UserError(
            printable(str(error)), exit_codes.USAGE if error.code == "invalid" else exit_codes.ERROR
        ) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


@app.command()
def status(*, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Tell how the server is."""
    result = call(state, "status")
    if as_json:
        print_json("status", result)
        return
    devices = ", ".join(f"{count} {word}" for word, count in result["devices"].items())
    print_pairs(
        [
            ("state", result["state"] + "".join(f"; {reason}" for reason in result["reasons"])),
            ("devices", devices),
            ("sessions", result["sessions"]),
            ("connections", result["connections"]),
            ("counters", ", ".join(f"{name} {count}" for name, count in result["counters"].items())),
            ("events", result["events"]),
            ("version", result["version"]),
        ]
    )


@app.command()
def events(
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    after: Annotated[int | None, typer.Option(metavar="NUMBER", help="Begin after this event.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="How many past events, without --after.")] = 100,
    unit_id: Annotated[str | None, typer.Option("--device", metavar="UNIT_ID", help="Only this device's.")] = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what happened: one line an event, newest last."""
    show = print_json_line if as_json else _print_event
    call(state, "events", show, after=after, limit=limit, unit_id=unit_id, follow=follow)


def _print_event(event: dict[str, Any]) -> None:
    details = " ".join(f"{name}={value}" for name, value in event["data"].items())
    parts = [event["at"], event["kind"], event["unit_id"] or "-", f"by {event['actor']}", event["cause"], details]
    print(printable("  ".join(part for part in parts if part)), flush=True)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file; it holds private keys, keep it safe.")],
    *,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write registry, certificates and keys of the running server into one private file."""
    result = call(state, "backup", path=str(file.absolute()))
    if as_json:
        print_json("backup", result)
    else:
        print(f"{result['path']}: {result['files']} files, made at {result['made_at']}")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `ctl backup` wrote.")],
    *,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a backup in place of the state folder; the server must be stopped. The old folder is kept beside it."""
    from umslab_server import backup as backups  # noqa: PLC0415 - the only verb here that needs the database library

    folder = server_folder(state)
    try:
        manifest = backups.restore(file, folder)
    except (backups.BackupError, StateFolderError) as error:
        raise UserError(str(error)) from None
    except OSError as error:
        raise UserError(f"{error.filename or folder.path}: {error.strerror or error}") from None
    if as_json:
        print_json("restored", {"path": str(folder.path), "made_at": manifest.made_at})
    else:
        print(f"{folder.path}: restored what was backed up at {manifest.made_at}")


# keys


@keys_app.command("create")
def create_keys(
    *,
    kind: Annotated[KeyKind, typer.Option(help="one-time, bound (to a unit ID) or mass.")] = KeyKind.ONE_TIME,
    count: Annotated[int, typer.Option(min=1, max=100_000, help="How many.")] = 1,
    key: Annotated[str | None, typer.Option("--key", help="The text of the key; default: random digits.")] = None,
    unit_id: Annotated[
        list[str] | None, typer.Option("--unit-id", metavar="ID", help="Owner of a bound key; may be repeated.")
    ] = None,
    label: Annotated[str, typer.Option(help="A note for people.")] = "",
    csv: Annotated[bool, typer.Option("--csv", help="Print `id;kind;key;unit ID` lines.")] = False,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make keys and print them."""
    made = call(state, "keys.create", kind=kind, count=count, chosen=key, bound_to=unit_id or [], label=label)
    _print_keys(made, as_json=as_json, csv=csv)


@keys_app.command("list")
def list_keys(
    *,
    secrets: Annotated[bool, typer.Option("--secrets", help="Show the keys themselves too.")] = False,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """List all keys with their use counts."""
    _print_keys(call(state, "keys.list", secrets=secrets), as_json=as_json)


@keys_app.command("export")
def export_keys(*, state: StateOption = None) -> None:
    """Print all keys as CSV: `id;kind;key;unit ID;state`."""
    _print_keys(call(state, "keys.list", secrets=True), as_json=False, csv=True)


@keys_app.command("show")
def show_key(number: KeyNumber, *, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Show one key."""
    key = call(state, "keys.show", id=number)
    if as_json:
        print_json("key", key)
    else:
        print_pairs((name.replace("_", " "), value) for name, value in key.items())


@keys_app.command("disable")
def disable_key(number: KeyNumber, *, state: StateOption = None) -> None:
    """Let a key open nothing until it is enabled again."""
    call(state, "keys.enable", id=number, enabled=False)


@keys_app.command("enable")
def enable_key(number: KeyNumber, *, state: StateOption = None) -> None:
    """Let a disabled key open again what it opened."""
    call(state, "keys.enable", id=number, enabled=True)


@keys_app.command("delete")
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


# devices


@devices_app.command("list")
def list_devices(
    *,
    in_bin: Annotated[bool | None, typer.Option("--bin/--no-bin", help="Only those (not) in the recycle bin.")] = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """List devices."""
    devices = call(state, "devices.list", in_bin=in_bin)
    if as_json:
        print_json("devices", devices)
        return
    print_table(
        ("unit ID", "name", "state", "firmware", "last IP", "structure tag", "last contact"),
        (
            (
                one["unit_id"], one["name"], one["state"], one["firmware"], one["last_ip"], one["structure_tag"],
                one["last_contact"],
            )
            for one in devices
        ),
        empty="no devices",
    )  # fmt: skip


@devices_app.command("show")
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
    info = device.pop("info")
    print_pairs((name.replace("_", " "), value) for name, value in device.items())
    print_pairs(sorted(info.items()))
    print_table(
        ("certificate", "state", "issued", "expires", "first used"),
        (
            (one["serial"], one["state"], one["issued_at"], one["not_after"], one["first_used_at"])
            for one in certificates
        ),
        empty="no certificates",
    )


@devices_app.command("edit")
def edit_device(
    unit_id: UnitId,
    values: Annotated[list[str], typer.Argument(metavar="NAME=VALUE...", help="For example site=Bremen.")],
    *,
    state: StateOption = None,
) -> None:
    """Change attributes that people keep: name, site, department, comment, ..."""
    pairs = dict(value.partition("=")[::2] for value in values)
    call(state, "devices.edit", unit_id=unit_id, values={name.replace("-", "_"): text for name, text in pairs.items()})


@devices_app.command("delete")
def delete_devices(unit_ids: UnitIds, *, state: StateOption = None) -> None:
    """Move devices into the recycle bin (or delete them, when it is off)."""
    for unit_id, where in call(state, "devices.delete", unit_ids=unit_ids).items():
        print(f"{unit_id}: {'moved into the recycle bin' if where == 'in-bin' else 'deleted'}")


@devices_app.command("restore")
def restore_devices(unit_ids: UnitIds, *, state: StateOption = None) -> None:
    """Take devices out of the recycle bin."""
    call(state, "devices.restore", unit_ids=unit_ids)


@devices_app.command("purge")
def purge_devices(unit_ids: UnitIds, *, state: StateOption = None) -> None:
    """Delete devices for good; each is told so, now or when it next connects."""
    call(state, "devices.purge", unit_ids=unit_ids)


@devices_app.command("revoke")
def revoke_device(
    unit_id: UnitId,
    *,
    reason: Annotated[str, typer.Option(help="Told to the device.")] = "revoked by the administrator",
    state: StateOption = None,
) -> None:
    """Revoke all certificates of a device."""
    print(f"{call(state, 'devices.revoke', unit_id=unit_id, reason=reason)} certificates revoked")


@devices_app.command("import")
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


# certs


@certs_app.command("show")
def show_certificates(*, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Show token, fingerprints and dates."""
    print_certificates(call(state, "certs.show"), as_json=as_json)


@certs_app.command("renew")
def renew_certificate(*, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Replace the web certificate under the same root; devices notice nothing."""
    print_certificates(call(state, "certs.renew"), as_json=as_json)


def print_certificates(result: dict[str, Any], *, as_json: bool) -> None:
    """Print what `describe` tells of certificates."""
    if as_json:
        print_json("certificates", result)
        return
    pairs: list[tuple[str, object]] = [("communication token", result["token"])]
    for name, title in (("root", "web root"), ("web", "web certificate"), ("client_ca", "EST client CA")):
        one = result[name]
        pairs += [
            (title, one["subject"]),
            ("  SHA-256", " ".join(one["sha256_parts"])),
            ("  valid", f"{one['not_before']} to {one['not_after']}"),
        ]
    print_pairs(pairs)
