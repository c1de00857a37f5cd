# SPDX-License-Identifier: Apache-2.0
"""The `umslab` command and everything that composes both sides."""

from __future__ import annotations

__version__ = "0.1.0"
