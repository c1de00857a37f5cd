# SPDX-License-Identifier: Apache-2.0
"""`umslab fleet`: one module a verb."""

from __future__ import annotations

from umslab.cli.fleet.main import app

__all__ = ["app"]
