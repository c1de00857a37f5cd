# SPDX-License-Identifier: Apache-2.0
"""Makes what peers say harmless for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """Escape what is not printable, so that no peer writes on the user's terminal."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
