# SPDX-License-Identifier: Apache-2.0
"""What people and peers say: whether it is text, and made harmless for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """Escape what is not printable, so that no peer writes on the user's terminal."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def is_utf8(text: str) -> bool:
    """Whether an argument or variable was UTF-8: Python keeps the bytes of one that was not as lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
