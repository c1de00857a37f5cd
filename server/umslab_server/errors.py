# SPDX-License-Identifier: Apache-2.0
"""The one error that services raise for people."""

from __future__ import annotations


class RefusedError(Exception):
    """What was asked for cannot be done; the message tells the person who asked why, and what would work."""
