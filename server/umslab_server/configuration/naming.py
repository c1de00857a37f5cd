# SPDX-License-Identifier: Apache-2.0
"""The naming convention: a device that registers gets a prefix and a running number (section 9 of the facts)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from umslab_server.meta import read_meta, write_meta
from umslab_server.tables import device

if TYPE_CHECKING:
    from umslab_server.store import Writer

MAX_NAME_CHARACTERS = 15  # U9
_COUNTER = "naming_number"


class Naming:
    """Makes names. The number only grows, so that the name of a deleted device does not come back."""

    def __init__(self, prefix: str = "", digits: int = 4) -> None:
        """Without a prefix the convention is off."""
        self._prefix = prefix
        self._digits = digits

    def next_name(self, writer: Writer) -> str | None:
        """Return a name no device has; None when the convention is off, or its names are used up (told in the feed)."""
        if not self._prefix:
            return None
        number = int(read_meta(writer.connection, _COUNTER) or "0")
        while True:
            number += 1
            name = f"{self._prefix}{number:0{self._digits}d}"
            if len(name) > MAX_NAME_CHARACTERS:
                cause = f"names have at most {MAX_NAME_CHARACTERS} characters"
                writer.event("naming-exhausted", actor="server", cause=cause, name=name)
                return None
            if writer.connection.execute(select(device.c.id).where(device.c.name == name)).first() is None:
                write_meta(writer.connection, _COUNTER, str(number))
                return name
