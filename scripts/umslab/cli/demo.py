# SPDX-License-Identifier: Apache-2.0
"""Not yet."""

from __future__ import annotations

import typer

app = typer.Typer()


def demo() -> None:
    """Not yet."""
