# SPDX-License-Identifier: Apache-2.0
"""Show umslab at work: a server, 25 devices, their settings, a reboot wave, a new root, and refusals with reasons.

Everything runs on loopback, takes less than two minutes and leaves nothing behind. With --discovery: devices that know
nothing lease from a real dnsmasq, find their UMS by DHCP or DNS and register automatically, in network namespaces of
their own. That needs Linux, root, ip and dnsmasq.

Examples:
    umslab demo
    umslab demo --discovery
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from umslab import demo as story
from umslab import exit_codes, logs
from umslab.cli.output import SETTINGS, UserError, help_text, run_async

app = typer.Typer(**SETTINGS)


@app.command(help=help_text(__doc__))
def demo(
    *,
    discovery: Annotated[
        bool, typer.Option("--discovery", help="Show how devices find their UMS, in network namespaces.")
    ] = False,
) -> None:
    """Show umslab at work."""
    logs.configure(as_json=False, level="error")
    missing = story.what_is_missing() if discovery else []
    if missing:
        raise UserError(f"the demo of discovery is not possible here: {'; '.join(missing)}")
    run = story.discovery.run if discovery else story.run
    with tempfile.TemporaryDirectory(prefix="umslab-demo-") as name, story.Show() as show:
        try:
            run_async(run, Path(name), show)
        except story.DemoFailedError as error:
            raise UserError(f"the demo failed: {error}", exit_codes.FAILED) from None
        except KeyboardInterrupt:
            raise SystemExit(130) from None
    show.summary()
