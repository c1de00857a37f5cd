# SPDX-License-Identifier: Apache-2.0
"""`umslab`: the verbs, and the one place where errors become exit codes.

Only the verb that was asked for is imported: `umslab ctl` in a script's loop need not load a database library.
"""

from __future__ import annotations

import ssl
import sys
from importlib import import_module
from typing import Annotated

import typer

from umslab import __version__, exit_codes
from umslab.cli.output import SETTINGS, UserError
from umslab.printable import is_utf8, printable
from umslab.settings import SettingsError
from umslab_protocol.errors import InvalidValueError

NOT_AFFILIATED = "umslab is not affiliated with IGEL; formats that IGEL does not publish are simulated and not IGEL's."

VERBS = {
    "serve": "Run a simulated UMS server.",
    "device": "Run one simulated IGEL OS 12 device.",
    "fleet": "Run many simulated devices: plan, run, report.",
    "merge": "Make one report of those of a fleet's shards.",
    "ctl": "Manage a running server.",
    "certs": "Make, show, import and renew the certificates of a stopped server.",
    "dhcp": "Write what DHCP tells IGEL OS, or read what a device got.",
    "online-check": "Ask OS 11 devices whether they are there.",
    "scan": "Scan for devices.",
    "explain": "Explain ports, error codes and fact numbers.",
    "demo": "Show all of it at work, in less than a minute.",
}

MANY_MODULES = {"fleet", "ctl"}
"""Verbs that are packages; their `main` puts them together."""

app = typer.Typer(
    name="umslab",
    help=f"A lab version of the IGEL world: a simulated UMS server and simulated endpoints.\n\n{NOT_AFFILIATED}",
    no_args_is_help=True,
    **SETTINGS,
)


def _stand_in() -> None:
    """Listed in the help; the real verb is found by `main`."""


for _verb, _sentence in VERBS.items():
    app.command(_verb, help=_sentence)(_stand_in)


def _print_version(*, wanted: bool) -> None:
    if wanted:
        print(f"umslab {__version__} (Python {sys.version.split()[0]}, {ssl.OPENSSL_VERSION})\n{NOT_AFFILIATED}")
        raise typer.Exit


@app.callback()
def _common(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    del version


def _refuse_unreadable(arguments: list[str]) -> None:
    """Raise `UserError` for an argument that is not text: nothing we say or keep could hold its bytes."""
    for argument in arguments:
        if not is_utf8(argument):
            raise UserError(f"{printable(argument)[:60]} is not UTF-8 text", exit_codes.USAGE)


def main() -> None:
    """Run the command line; never ends in a traceback for anything a user can cause."""
    try:
        _refuse_unreadable(sys.argv[1:])
        verb, *arguments = sys.argv[1:] or ["--help"]
        if verb in VERBS:
            place = f"{verb}.main" if verb in MANY_MODULES else verb.replace("-", "_")
            chosen: typer.Typer = import_module(f"umslab.cli.{place}").app
            chosen(arguments, prog_name=f"umslab {verb}")
        app([verb, *arguments], prog_name="umslab")
    except UserError as error:
        print(f"umslab: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except (SettingsError, InvalidValueError) as error:
        print(f"umslab: {error}", file=sys.stderr)
        sys.exit(exit_codes.USAGE)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(exit_codes.ERROR)
