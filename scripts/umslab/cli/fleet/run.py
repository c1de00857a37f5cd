# SPDX-License-Identifier: Apache-2.0
"""stub"""

from __future__ import annotations


def run() -> None:
    """Stub."""
