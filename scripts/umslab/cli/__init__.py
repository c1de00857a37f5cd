# SPDX-License-Identifier: Apache-2.0
"""The command line: one module a verb."""

from __future__ import annotations

from umslab.cli.main import main

__all__ = ["main"]
