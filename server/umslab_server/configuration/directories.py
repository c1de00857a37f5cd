# SPDX-License-Identifier: Apache-2.0
"""The tree of device directories, for people (Q12)."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from msgspec import Struct, structs
from sqlalchemy import func, select

from umslab_server import registry
from umslab_server.configuration import tree
from umslab_server.configuration.library import chunks
from umslab_server.configuration.reconcile import Settled, When, advice, devices_below, reconcile
from umslab_server.configuration.tree import path_of, resolve, subtree
from umslab_server.errors import RefusedError
from umslab_server.tables import ROOT_DIRECTORY, assignment, device, directory, directory_rule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from umslab_protocol.values.unit_id import UnitId
    from umslab_server.configuration.synchronise import Configuration, Outcome
    from umslab_server.store import Store, Writer

__all__ = ["Directories", "DirectoryView", "path_of", "place", "resolve", "subtree"]

ADVISED_DEVICES = 5_000  # section 12.1: avoid more in a directory


class DirectoryView(Struct, frozen=True, kw_only=True):
    """One directory as the terminal shows it."""

    id: int
    path: str
    parent_id: int | None
    devices: int
    """Directly in it."""
    devices_below: int
    """In it and in all below it."""
    warning: str = ""
    """When it holds more than the sizing guide advises (section 12.1), however they came there."""


class Directories:
    """The tree, for people."""

    def __init__(self, store: Store, configuration: Configuration) -> None:
        self._store = store
        self._configuration = configuration

    async def list_directories(self) -> list[DirectoryView]:
        """Return all directories, each before those below it, neighbours by name."""
        return await self._store.read(_list)

    async def create(self, path: str, *, actor: str) -> int:
        """Make a directory, and those above it that are missing; return its id. Raises `RefusedError`."""

        def work(writer: Writer) -> int:
            made, was_missing = tree.create_path(writer, path, actor=actor)
            if not was_missing:
                raise RefusedError(f"the directory {path!r} exists already")
            return made

        return await self._store.change(work)

    async def rename(self, path: str, name: str, *, actor: str) -> None:
        """Give a directory another name. Raises `RefusedError`."""
        checked = tree.check_name(name)

        def work(writer: Writer) -> None:
            here = tree.below_root(writer.connection, path)
            query = select(directory.c.parent_id).where(directory.c.id == here)
            parent = writer.connection.execute(query).scalar_one()
            if tree.child(writer.connection, parent, checked) not in {None, here}:
                raise RefusedError(f"there is a directory {checked!r} beside it already")
            writer.connection.execute(directory.update().where(directory.c.id == here).values(name=checked))
            writer.event("directory-renamed", actor=actor, directory=here, name=checked)

        await self._store.change(work)

    async def move(self, path: str, target: str, *, actor: str, when: When) -> Outcome:
        """Move a directory with all in it below another one. Raises `RefusedError`."""

        def work(writer: Writer) -> Settled:
            connection = writer.connection
            here, there = tree.below_root(connection, path), resolve(connection, target)
            if there in subtree(connection, here):
                raise RefusedError("a directory cannot be moved into itself")
            name = connection.execute(select(directory.c.name).where(directory.c.id == here)).scalar_one()
            if tree.child(connection, there, name) not in {None, here}:
                raise RefusedError(f"there is a directory {name!r} in {target} already")
            if len(tree.chain(connection, there)) + tree.height(connection, here) > tree.MAX_DEPTH:
                raise RefusedError(f"directories are at most {tree.MAX_DEPTH} deep")
            connection.execute(directory.update().where(directory.c.id == here).values(parent_id=there))
            writer.event("directory-moved", actor=actor, directory=here, parent=there)
            cause = f"directory {name} was moved"
            moved = devices_below(connection, [here])
            return reconcile(writer, moved, actor=actor, cause=cause, when=when, warn=True)

        return await self._configuration.change(work)

    async def delete(self, path: str, *, actor: str) -> None:
        """Delete an empty directory that no rule needs. Raises `RefusedError`."""

        def work(writer: Writer) -> None:
            connection = writer.connection
            here = tree.below_root(connection, path)
            if len(subtree(connection, here)) > 1:
                raise RefusedError(f"{path} has directories in it: move or delete them first")
            if connection.execute(select(device.c.id).where(device.c.directory_id == here)).first() is not None:
                raise RefusedError(f"{path} has devices in it (also in the recycle bin, perhaps): move them first")
            rule = select(directory_rule.c.id).where(directory_rule.c.directory_id == here)
            if (found := connection.execute(rule).scalar()) is not None:  # ITG-0A023
                raise RefusedError(f"the default directory rule {found} puts devices into {path}: change it first")
            receiver = (assignment.c.receiver_type == "directory", assignment.c.receiver_id == here)
            connection.execute(assignment.delete().where(*receiver))
            connection.execute(directory.delete().where(directory.c.id == here))
            writer.event("directory-deleted", actor=actor, directory=here)

        await self._store.change(work)

    async def move_devices(self, unit_ids: Sequence[UnitId], target: str, *, actor: str, when: When) -> Outcome:
        """Move devices into a directory. Raises `RefusedError`."""

        def work(writer: Writer) -> Settled:
            there = resolve(writer.connection, target)
            ids = [int(registry.find(writer.connection, unit_id)["id"]) for unit_id in unit_ids]
            return place(writer, ids, there, actor=actor, cause=f"moved to {target}", when=when)

        return await self._configuration.change(work)


def place(writer: Writer, device_ids: Sequence[int], target: int, *, actor: str, cause: str, when: When) -> Settled:
    """Put devices into a directory; for use inside a change. Raises `DocumentTooLargeError`."""
    connection = writer.connection
    moved: list[int] = []
    for some in chunks(sorted(set(device_ids))):
        query = select(device.c.id, device.c.unit_id).where(device.c.id.in_(some), device.c.directory_id != target)
        for row in connection.execute(query).all():
            moved.append(row.id)
            writer.event("device-moved", actor=actor, unit_id=row.unit_id, cause=cause, directory=target)
    for some in chunks(moved):
        connection.execute(device.update().where(device.c.id.in_(some)).values(directory_id=target))
    settled = reconcile(writer, moved, actor=actor, cause=cause, when=when, warn=True)
    there = select(func.count()).select_from(device).where(device.c.directory_id == target)
    count = connection.execute(there).scalar_one() if moved else 0
    if count > ADVISED_DEVICES:
        sentence = _crowded(path_of(connection, target), count)
        settled.warnings.append(advice(sentence))
        if count - len(moved) <= ADVISED_DEVICES:  # once, not for every device that a rule puts there
            writer.event("sizing-warning", actor=actor, cause=sentence)
    return settled


def _crowded(path: str, count: int) -> str:
    return f"{path} holds {count} devices, more than {ADVISED_DEVICES}"


def _list(connection: Connection) -> list[DirectoryView]:
    rows = connection.execute(select(directory).order_by(directory.c.name)).mappings().all()
    counted = select(device.c.directory_id, func.count()).group_by(device.c.directory_id)
    devices: Counter[int] = Counter({row[0]: row[1] for row in connection.execute(counted).all()})
    below: defaultdict[int | None, list[tuple[int, str]]] = defaultdict(list)
    for row in rows:
        below[row["parent_id"]].append((row["id"], row["name"]))
    views: list[DirectoryView] = []

    def visit(here: int, parent: int | None, path: str) -> int:
        at, mine = len(views), devices[here]
        warning = advice(_crowded(path or "/", mine)) if mine > ADVISED_DEVICES else ""
        view = DirectoryView(
            id=here, path=path or "/", parent_id=parent, devices=mine, devices_below=mine, warning=warning
        )
        views.append(view)
        total = mine + sum(visit(one, here, f"{path}/{name}") for one, name in below[here])
        views[at] = structs.replace(view, devices_below=total)
        return total

    visit(ROOT_DIRECTORY, None, "")
    return views
