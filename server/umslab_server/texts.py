# SPDX-License-Identifier: Apache-2.0
"""The one rule for texts that people attach to things: what a table, an event and a terminal can show."""

from __future__ import annotations

from umslab_server.errors import RefusedError

MAX_CHARACTERS = 255


def is_text(text: str) -> bool:
    """Whether it is printable and not too long; the empty text is one."""
    return len(text) <= MAX_CHARACTERS and text.isprintable()


def check_text(what: str, text: str) -> None:
    """Raise `RefusedError`, naming `what` it was to be, for a text that cannot be kept."""
    if not is_text(text):
        raise RefusedError(f"{what}: printable text of at most {MAX_CHARACTERS} characters")


def check_name(what: str, name: str) -> None:
    """Raise `RefusedError`, naming `what` it was to call, for a name that nobody could type again."""
    if not name or name != name.strip() or not is_text(name):
        raise RefusedError(
            f"{what} has a name of 1 to {MAX_CHARACTERS} printable characters, without a space before or after"
        )
