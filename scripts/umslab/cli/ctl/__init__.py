# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl`: one module an area."""

from __future__ import annotations

from umslab.cli.ctl.main import app

__all__ = ["app"]
