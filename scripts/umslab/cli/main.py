# SPDX-License-Identifier: Apache-2.0
"""`umslab`: the verbs, and the one place where errors become exit codes."""

from __future__ import annotations

import ssl
import sys
from typing import Annotated

import typer

from umslab import __version__, exit_codes
from umslab.cli import certs, ctl, demo, device, serve
from umslab.cli.output import UserError
from umslab.settings import SettingsError
from umslab_protocol.errors import InvalidValueError

NOT_AFFILIATED = "umslab is not affiliated with IGEL; formats that IGEL does not publish are simulated and not IGEL's."

app = typer.Typer(
    name="umslab",
    help=f"A lab version of the IGEL world: a simulated UMS server and simulated endpoints.\n\n{NOT_AFFILIATED}",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve", help=serve.__doc__)(serve.serve)
app.command("device", help=device.__doc__)(device.device)
app.command("demo", help=demo.__doc__)(demo.demo)
app.add_typer(ctl.app, name="ctl", help=ctl.__doc__)
app.add_typer(certs.app, name="certs", help=certs.__doc__)


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


def main() -> None:
    """Run the command line; never ends in a traceback for anything a user can cause."""
    try:
        app()
    except UserError as error:
        print(f"umslab: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except (SettingsError, InvalidValueError) as error:
        print(f"umslab: {error}", file=sys.stderr)
        sys.exit(exit_codes.USAGE)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(exit_codes.ERROR)
