# SPDX-License-Identifier: Apache-2.0
"""Show umslab at work: a server, 25 devices, their settings, a reboot wave, a new root, and refusals with reasons.

Everything runs on loopback, takes less than two minutes and leaves nothing behind.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import typer

from umslab import demo as story
from umslab import exit_codes, logs
from umslab.cli.output import SETTINGS, UserError, help_text, run_async

app = typer.Typer(**SETTINGS)


@app.command(help=help_text(__doc__))
def demo() -> None:
    """Show umslab at work."""
    logs.configure(as_json=False, level="error")
    with tempfile.TemporaryDirectory(prefix="umslab-demo-") as name, story.Show() as show:
        try:
            run_async(story.run, Path(name), show)
        except story.DemoFailedError as error:
            raise UserError(f"the demo failed: {error}", exit_codes.FAILED) from None
        except KeyboardInterrupt:
            raise SystemExit(130) from None
    show.summary()
