# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl scan`: the server scans for devices, and says which it knows."""

from __future__ import annotations

from typing import Annotated

import typer

from umslab import exit_codes
from umslab.cli.ctl.asking import call
from umslab.cli.output import JsonOption, StateOption, UserError
from umslab.cli.scan_output import PortOption, Progress, RangesArgument, TcpOption, TimeoutOption, print_report
from umslab_protocol.wire.probes import PROBE_PORT


def scan(
    ranges: RangesArgument = None,
    *,
    timeout: TimeoutOption = 6.0,
    port: PortOption = PROBE_PORT,
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
    """Let the server scan for devices, by broadcast or in ranges of addresses, and register those that wait for it.

    Exit code 3 when nobody is found, or one that was to be registered is not.
    """
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
