# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl scan`: the server scans for devices, and says which it knows."""

from __future__ import annotations

from umslab.cli.ctl.asking import call
from umslab.cli.output import JsonOption, StateOption
from umslab.cli.scan_output import PortOption, Progress, RangesArgument, TcpOption, TimeoutOption, print_report
from umslab_protocol.wire.probes import PROBE_PORT


def scan(
    ranges: RangesArgument = None,
    *,
    timeout: TimeoutOption = 6.0,
    port: PortOption = PROBE_PORT,
    over_tcp: TcpOption = False,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let the server scan for devices, by broadcast or in ranges of addresses."""
    told = Progress(quiet=as_json)
    report = call(state, "scan", told.take, ranges=ranges or [], over_tcp=over_tcp, timeout_seconds=timeout, port=port)
    print_report(report, as_json=as_json)
