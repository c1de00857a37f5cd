# SPDX-License-Identifier: Apache-2.0
"""Let the server scan for devices, by broadcast or in ranges of addresses, and register those that wait for it.

Without RANGE everybody on the link is asked (scan.broadcast_address). A device waits to be registered that was started
with --sources stored,scan. Exit code 3 when nobody is found, or one that was to be registered is not.

Examples:
    umslab ctl scan 127.3.0.0/24
    umslab ctl scan 127.3.0.7-20 --tcp --json
    umslab ctl scan 127.3.0.0/24 --register 02AABBCCDD01
    umslab ctl scan 127.3.0.0/24 --register-all-new --by-rules
"""

from __future__ import annotations

from typing import Annotated

import typer

from umslab import exit_codes
from umslab.cli.ctl.asking import call
from umslab.cli.output import JsonOption, StateOption, UserError, help_text
from umslab.cli.scan_output import Progress, RangesArgument, TcpOption, print_report
from umslab_protocol.values.address_range import parse_ranges
from umslab_protocol.values.unit_id import parse_unit_id

HELP = help_text(__doc__)


def scan(
    ranges: RangesArgument = None,
    *,
    timeout: Annotated[
        float | None,
        typer.Option(min=0.1, max=60, help="Seconds from the last probe to the end (default: scan.timeout_seconds)."),
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="Where devices listen (default: scan.port).")
    ] = None,
    over_tcp: TcpOption = False,
    register: Annotated[
        list[str] | None,
        typer.Option(metavar="UNIT_ID", help="Order this device to register if it is found; may be repeated."),
    ] = None,
    register_all_new: Annotated[
        bool, typer.Option("--register-all-new", help="Order all that have no UMS and never registered here.")
    ] = False,
    by_rules: Annotated[
        bool, typer.Option("--by-rules", help="Let default directory rules place those that register.")
    ] = False,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let the server scan for devices, and register those that wait for it."""
    for text in ranges or []:
        parse_ranges([text])
    for text in register or []:
        parse_unit_id(text)
    if by_rules and not (register or register_all_new):
        text = "--by-rules says where devices go that --register or --register-all-new orders to come"
        raise UserError(text, exit_codes.USAGE)
    told = Progress(quiet=as_json)
    wish = {
        "ranges": ranges or [],
        "over_tcp": over_tcp,
        "timeout_seconds": timeout,
        "port": port,
        "register": register or [],
        "register_all_new": register_all_new,
        "by_rules": by_rules,
    }
    report = call(state, "scan", told.take, **wish)
    print_report(report, as_json=as_json)
