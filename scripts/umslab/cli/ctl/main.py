# SPDX-License-Identifier: Apache-2.0
"""Manage a running server over its control socket.

Examples:
    umslab ctl status
    umslab ctl keys create --count 25
    umslab ctl devices list --json
    umslab ctl events --follow
    umslab ctl why 02AABBCCDDEE
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from umslab.cli.ctl import (
    accounts,
    apps,
    attributes,
    certs,
    command,
    connectors,
    devices,
    dirs,
    files,
    jobs,
    keys,
    profiles,
    rules,
    settings,
    views,
)
from umslab.cli.ctl.approve import approve
from umslab.cli.ctl.asking import call, server_folder
from umslab.cli.ctl.scan import HELP as SCAN_HELP
from umslab.cli.ctl.scan import scan
from umslab.cli.ctl.why import why
from umslab.cli.output import (
    SETTINGS,
    JsonOption,
    StateOption,
    UserError,
    help_text,
    print_json,
    print_json_line,
    print_pairs,
)
from umslab.printable import printable
from umslab_server.state_folder import StateFolderError

app = typer.Typer(no_args_is_help=True, help=help_text(__doc__), **SETTINGS)
app.add_typer(keys.app, name="keys")
app.add_typer(accounts.app, name="accounts")
app.add_typer(devices.app, name="devices")
app.add_typer(certs.app, name="certs")
app.add_typer(connectors.app, name="connectors")
app.add_typer(command.app, name="command")
app.add_typer(jobs.app, name="jobs")
app.add_typer(views.app, name="views")
app.add_typer(dirs.app, name="dirs")
app.add_typer(profiles.app, name="profiles")
app.add_typer(apps.app, name="apps")
app.add_typer(attributes.app, name="attributes")
app.add_typer(files.app, name="files")
app.add_typer(settings.app, name="settings")
app.add_typer(rules.app, name="rules")
app.command("approve")(approve)
app.command("scan", help=SCAN_HELP)(scan)
app.command("why")(why)


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
            *(("attention", notice) for notice in result["notices"]),
            ("devices", devices),
            ("OS 12", f"{result['generations']['12']} registered, {result['sessions']} with a session"),
            ("OS 11", f"{result['generations']['11']} registered, {result['os11_contacts']} in contact"),
            ("connections", result["connections"]),
            ("counters", ", ".join(f"{name} {count}" for name, count in result["counters"].items())),
            ("online check", ", ".join(f"{name} {count}" for name, count in result["online_check"].items()) or "off"),
            ("mDNS", _announced(result["mdns"])),
            ("events", result["events"]),
            ("version", result["version"]),
        ]
    )


def _announced(places: list[dict[str, Any]] | None) -> str:
    """Under which name the server is announced, and where."""
    if places is None:
        return "off"
    words = [
        f"{one['name']!r} at {', '.join(one['addresses'])}" + (f" on {one['interface']}" if one["interface"] else "")
        for one in places
    ]
    return printable("; ".join(words)) or "not announced (yet): the log of the server says why"


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
    details = " ".join(f"{name}={value}" for name, value in event["data"].items() if value is not None)
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
