# SPDX-License-Identifier: Apache-2.0
"""What each command needs to be told, checked before any device hears of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from umslab_protocol.wire.orders import TRUE, CommandName
from umslab_server.errors import RefusedError
from umslab_server.tables import file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

NEEDED = {
    CommandName.MESSAGE: "text",
    CommandName.FILE_TRANSFER: "file",
    CommandName.DEVICE_COMMAND: "name",
}
"""Which parameter a command cannot do without."""
ALLOWED = {
    CommandName.UPDATE: "version",
    CommandName.UPDATE_ON_SHUTDOWN: "version",
    CommandName.CHECK_REENROLMENT: "force",
} | NEEDED
"""Which parameter a command may have; a device-specific command may have any."""


def check(connection: Connection, command: CommandName, given: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters as they are sent: a file transfer gets the file's name, digest and size.

    Raises `RefusedError`.
    """
    needed, allowed = NEEDED.get(command), ALLOWED.get(command)
    if needed is not None and not given.get(needed):
        raise RefusedError(f"the command {command} needs --param {needed}=...")
    unknown = sorted(set(given) - {allowed})
    if unknown and command is not CommandName.DEVICE_COMMAND:
        knows = f"it knows {allowed}" if allowed else "it has none"
        raise RefusedError(f"the command {command} has no parameter {unknown[0]!r}; {knows}")
    if command is CommandName.CHECK_REENROLMENT and given.get("force", TRUE) != TRUE:
        raise RefusedError(f"the parameter force of the command {command} is {TRUE}, or is left out")
    if command is CommandName.FILE_TRANSFER:
        return {**given, **_describe(connection, given["file"])}
    return dict(given)


def _describe(connection: Connection, name: str) -> dict[str, str]:
    row = connection.execute(select(file).where(file.c.name == name)).mappings().first()
    if row is None:
        raise RefusedError(f"there is no file {name!r}: `umslab ctl files list` shows all")
    return {"name": row["name"], "sha256": row["sha256"], "size": str(row["size"])}
