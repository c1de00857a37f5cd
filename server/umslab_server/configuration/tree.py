# SPDX-License-Identifier: Apache-2.0
"""The tree of device directories as rows; its root has the id -1 (Q12). For use inside a change or a query."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from umslab_server.errors import RefusedError
from umslab_server.tables import ROOT_DIRECTORY, directory

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from umslab_server.store import Writer

MAX_NAME_CHARACTERS = 100
MAX_DEPTH = 32
LONGEST_NUMBER = 18  # digits; SQLite takes no greater ones


def resolve(connection: Connection, text: str) -> int:
    """Return the id of a directory named by its path (`/Bremen/Office`, `/` is the root) or its number.

    Raises `RefusedError`.
    """
    if text.isascii() and text.removeprefix("-").isdecimal() and len(text) <= LONGEST_NUMBER:
        found = connection.execute(select(directory.c.id).where(directory.c.id == int(text))).scalar()
        if found is None:
            raise RefusedError(f"there is no directory {text}")
        return int(found)
    here: int | None = ROOT_DIRECTORY
    for name in filter(None, text.split("/")):
        here = child(connection, here or ROOT_DIRECTORY, name)
        if here is None:
            raise RefusedError(f"there is no directory {text!r}: `umslab ctl dirs list` shows all")
    return here or ROOT_DIRECTORY


def below_root(connection: Connection, text: str) -> int:
    """Return the id of a directory that is not the root. Raises `RefusedError`."""
    here = resolve(connection, text)
    if here == ROOT_DIRECTORY:
        raise RefusedError("the root directory is always there, under its own name")
    return here


def subtree(connection: Connection, top: int) -> set[int]:
    """Return the ids of a directory and of all below it."""
    below = select(directory.c.id).where(directory.c.id == top).cte(recursive=True)
    below = below.union_all(select(directory.c.id).where(directory.c.parent_id == below.c.id))
    return set(connection.execute(select(below.c.id)).scalars())


def child(connection: Connection, parent: int, name: str) -> int | None:
    """Return the id of the directory with this name directly below another."""
    query = select(directory.c.id).where(directory.c.parent_id == parent, directory.c.name == name)
    found: int | None = connection.execute(query).scalar()
    return found


def chain(connection: Connection, here: int) -> list[tuple[int, str]]:
    """Return ids and names from the root to a directory."""
    steps: list[tuple[int, str]] = []
    at: int | None = here
    while at is not None:
        query = select(directory.c.parent_id, directory.c.name).where(directory.c.id == at)
        parent, name = connection.execute(query).one()
        steps.append((at, name))
        at = parent
    return steps[::-1]


def path_of(connection: Connection, here: int) -> str:
    """Return the path of a directory; `/` is the root."""
    return "/" + "/".join(name for _, name in chain(connection, here)[1:])


def all_paths(connection: Connection) -> dict[int, str]:
    """Return the paths of all directories by their ids."""
    rows = connection.execute(select(directory.c.id, directory.c.parent_id, directory.c.name)).all()
    known = {row.id: (row.parent_id, row.name) for row in rows}
    paths: dict[int, str] = {ROOT_DIRECTORY: "/"}

    def path(here: int) -> str:
        if here not in paths:
            parent, name = known[here]
            paths[here] = f"{path(parent).rstrip('/')}/{name}"
        return paths[here]

    return {here: path(here) for here in known}


def height(connection: Connection, top: int) -> int:
    """Return how many levels a directory and those below it have."""
    below = subtree(connection, top)
    above = len(chain(connection, top)) - 1
    return max(len(chain(connection, one)) for one in below) - above


def check_name(name: str) -> str:
    """Return a name a directory can have. Raises `RefusedError`."""
    stripped = name.strip()
    if not 1 <= len(stripped) <= MAX_NAME_CHARACTERS or not stripped.isprintable() or "/" in stripped:
        raise RefusedError(f"a directory's name has 1 to {MAX_NAME_CHARACTERS} printable characters and no /")
    return stripped


def create_path(writer: Writer, path: str, *, actor: str) -> tuple[int, bool]:
    """Make a directory and those above it that are missing; return its id, and whether anything was missing.

    Raises `RefusedError`.
    """
    names = [check_name(name) for name in path.split("/") if name]
    if len(names) >= MAX_DEPTH:
        raise RefusedError(f"directories are at most {MAX_DEPTH} deep")
    here, made = ROOT_DIRECTORY, False
    for name in names:
        there = child(writer.connection, here, name)
        if there is None:
            values = {"name": name, "parent_id": here, "created_at": writer.stamp}
            done = writer.connection.execute(directory.insert().values(**values).returning(directory.c.id))
            there, made = int(done.scalar_one()), True
            writer.event("directory-created", actor=actor, directory=there, name=name)
        here = there
    return here, made
