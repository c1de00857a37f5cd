# SPDX-License-Identifier: Apache-2.0
"""Scan for devices: who is on this link, or at these addresses.

Without RANGE everybody on the link is asked by a broadcast, which leaves only inside a network namespace that umslab
made. When a server runs on the state folder, it says which devices it knows; `umslab ctl scan` lets the server scan.

Examples:
    umslab scan 127.3.0.0/24
    umslab scan 127.255.255.255 --timeout 1 --json
    umslab scan 127.3.0.7-20 --tcp --port 31005
    ip netns exec umslab-lab umslab scan
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from umslab.cli.ctl.asking import call
from umslab.cli.output import (
    SETTINGS,
    JsonOption,
    StateOption,
    UserError,
    help_text,
    run_async,
)
from umslab.cli.scan_output import PortOption, Progress, RangesArgument, TcpOption, TimeoutOption, print_report
from umslab.neighbours import parse_owned, reply_host, scan_alone
from umslab_protocol.machines.scan import Scan
from umslab_protocol.wire.probes import PROBE_PORT
from umslab_runtime.network import ListenError
from umslab_runtime.policy import EVERYBODY, TargetRefusedError
from umslab_runtime.scanning import ScanPlan
from umslab_server.errors import RefusedError
from umslab_server.scan_report import hosts_of, progress_of, refuse_if_nobody_was_asked, report_of

app = typer.Typer(**SETTINGS)


@app.command(help=help_text(__doc__))
def scan(
    ranges: RangesArgument = None,
    *,
    timeout: TimeoutOption = 6.0,
    port: PortOption = PROBE_PORT,
    over_tcp: TcpOption = False,
    reply_port: Annotated[int, typer.Option(min=0, max=65_535, help="UDP port for answers; 0: any free one.")] = 0,
    i_own: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS", help="This address outside the machine is mine to test; may be repeated."),
    ] = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Scan for devices."""
    hosts = hosts_of(ranges or [], str(EVERYBODY), over_tcp=over_tcp)
    plan = ScanPlan(
        hosts=hosts,
        port=port,
        seconds=timeout,
        over_tcp=over_tcp,
        reply_host=reply_host(hosts),
        reply_port=reply_port,
    )
    owned = parse_owned(i_own or [])
    told = Progress(quiet=as_json)

    async def run() -> Scan:
        return await scan_alone(
            plan, owned=owned, on_progress=lambda found: told.take(progress_of(found, plan)._asdict())
        )

    try:
        done = run_async(run)
        refuse_if_nobody_was_asked(done, plan)
    except (ListenError, TargetRefusedError, RefusedError) as error:
        raise UserError(str(error)) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    known = _known(state)
    report = msgspec.to_builtins(report_of(done, len(hosts), known))
    print_report(report, as_json=as_json)


def _known(state: Any) -> dict[str, str] | None:
    """How the server of this state folder knows devices; None when there is none."""
    try:
        devices = call(state, "devices.list")
    except UserError:
        return None
    words = {"in-bin": "in-bin", "never-registered": "never-registered"}
    return {one["unit_id"]: words.get(one["state"], "known") for one in devices}
