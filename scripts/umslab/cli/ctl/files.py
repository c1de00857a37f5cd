# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl files`: files that devices can be told to have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from umslab.cli.ctl.asking import call
from umslab.cli.ctl.changing import When, WhenOption, add_assigning, print_outcome
from umslab.cli.output import SETTINGS, JsonOption, StateOption, print_json, print_table

app = typer.Typer(no_args_is_help=True, help="Files that devices can be told to have.", **SETTINGS)


@app.command("list")
def list_files(*, state: StateOption = None, as_json: JsonOption = False) -> None:
    """List files."""
    files = call(state, "files.list")
    if as_json:
        print_json("files", files)
        return
    print_table(
        ("id", "name", "bytes", "SHA-256", "receivers"),
        ((one["id"], one["name"], one["size"], one["sha256"], one["receivers"]) for one in files),
        empty="no files; add one with `umslab ctl files add`",
    )


@app.command("add")
def add_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of this machine, up to 64 MiB.")],
    *,
    name: Annotated[str | None, typer.Option(help="Its name on devices; default: the one it has.")] = None,
    state: StateOption = None,
) -> None:
    """Take in a file. Example: `files add wallpaper.png --name background.png`."""
    print(f"file {call(state, 'files.add', path=str(file.absolute()), name=name)['id']} added")


@app.command("delete")
def delete_file(
    which: Annotated[str, typer.Argument(metavar="FILE", help="Name or number.")],
    *,
    when: WhenOption = When.NOW,
    state: StateOption = None,
) -> None:
    """Forget a file; whoever had it is to remove it."""
    print_outcome(call(state, "files.delete", which=which, when=when))


add_assigning(app, "file", "background.png")
