# SPDX-License-Identifier: Apache-2.0
"""Files that devices can be told to have (FU2): rows in the registry, contents in the state folder.

A content lies under its SHA-256, once, however many files have it. It is written before the row that names it is
committed and removed after the last such row is gone, both in turn with the registry's changes, so that a row never
names a content that is not there.
"""

from __future__ import annotations

import hashlib
import stat
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from sqlalchemy import and_, or_, select

from umslab_certs.files import make_private_folder, remove_durably, write_private
from umslab_protocol.wire.orders import CommandName, FileName
from umslab_server import registry
from umslab_server.configuration.assignments import ObjectType, count_receivers, find_object, object_name, take_from_all
from umslab_server.configuration.reconcile import Settled, When, devices_with, reconcile
from umslab_server.configuration.tree import chain
from umslab_server.errors import RefusedError
from umslab_server.tables import assignment, execution, file, task

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from umslab_protocol.values.unit_id import UnitId
    from umslab_runtime.executor import Executor
    from umslab_server.configuration.synchronise import Configuration, Outcome
    from umslab_server.store import Store, Writer

MAX_FILE_BYTES = 64 * 1024 * 1024


class FileView(Struct, frozen=True, kw_only=True):
    """A file as the terminal shows it."""

    id: int
    name: str
    sha256: str
    size: int
    receivers: int
    created_at: str


class Files:
    """The files, for people and for the devices that fetch them."""

    def __init__(self, store: Store, configuration: Configuration, folder: Path, executor: Executor) -> None:
        """`folder` holds the contents; `executor` reads and writes them."""
        self._store = store
        self._configuration = configuration
        self._folder = folder
        self._executor = executor

    async def start(self) -> None:
        """Remove contents that no file names: a server that was killed left them. Raises `StoreError`, `OSError`."""

        def work(writer: Writer) -> None:
            named = set(writer.connection.execute(select(file.c.sha256)).scalars())
            for path in sorted(self._folder.iterdir()):
                if path.name not in named and path.is_file():
                    remove_durably(path)
                    writer.event("file-content-removed", actor="server", sha256=path.name, cause="found at the start")

        if self._folder.is_dir():
            await self._store.change(work)

    async def list_files(self) -> list[FileView]:
        """Return all files, by name."""

        def query(connection: Connection) -> list[FileView]:
            rows = connection.execute(select(file).order_by(file.c.name)).mappings().all()
            receivers = count_receivers(connection, ObjectType.FILE)
            return [FileView(**row, receivers=receivers.get(row["id"], 0)) for row in rows]

        return await self._store.read(query)

    async def add(self, source: Path, name: str | None = None, *, actor: str) -> int:
        """Take in a file of this machine under a name (default: its own); return its number.

        Raises `RefusedError`, `OSError`.
        """
        called = source.name if name is None else name
        try:
            msgspec.convert(called, FileName)
        except msgspec.ValidationError:
            raise RefusedError(
                f"{called[:60]!r} is not a name for a file: 1 to 255 letters, digits and _ . + -, not beginning with "
                "one of the last three"
            ) from None
        content = await self._executor.run(lambda: _read_source(source))
        digest = await self._executor.run(lambda: hashlib.sha256(content).hexdigest())
        await self._executor.run(lambda: self._keep(digest, content))

        def work(writer: Writer) -> int:
            if writer.connection.execute(select(file.c.id).where(file.c.name == called)).scalar() is not None:
                raise RefusedError(f"there is a file {called!r} already")
            self._keep(digest, content)  # again, if a deletion has come in between
            values = {"name": called, "sha256": digest, "size": len(content), "created_at": writer.stamp}
            made = writer.connection.execute(file.insert().values(**values).returning(file.c.id)).scalar_one()
            writer.event("file-added", actor=actor, file=made, name=called, size=len(content))
            return int(made)

        try:
            return await self._store.change(work)
        except RefusedError:
            await self._forget(digest)
            raise

    async def delete(self, which: str, *, actor: str, when: When) -> Outcome:
        """Forget a file; whoever had it is to remove it. Raises `RefusedError`."""
        digests: list[str] = []

        def work(writer: Writer) -> Settled:
            file_id = find_object(writer.connection, ObjectType.FILE, which)
            name = object_name(writer.connection, ObjectType.FILE, file_id)
            affected = devices_with(writer.connection, "file", file_id)
            digests.extend(writer.connection.execute(select(file.c.sha256).where(file.c.id == file_id)).scalars())
            take_from_all(writer, ObjectType.FILE, file_id)
            writer.connection.execute(file.delete().where(file.c.id == file_id))
            writer.event("file-deleted", actor=actor, file=file_id, name=name)
            return reconcile(writer, affected, actor=actor, cause=f"file {name} was deleted", when=when)

        outcome = await self._configuration.change(work)
        for digest in digests:
            await self._forget(digest)
        return outcome

    async def content(self, unit_id: UnitId, digest: str) -> bytes | None:
        """Return the content with this SHA-256 if it is for this device: assigned to it, or ordered by a command."""
        if not await self._store.read(
            lambda connection: _is_assigned(connection, unit_id, digest) or _is_ordered(connection, unit_id, digest)
        ):
            return None
        try:
            return await self._executor.run((self._folder / digest).read_bytes)
        except FileNotFoundError:  # deleted a moment ago
            return None

    def _keep(self, digest: str, content: bytes) -> None:
        make_private_folder(self._folder)
        path = self._folder / digest
        if not path.exists():
            write_private(path, content)

    async def _forget(self, digest: str) -> None:
        """Remove a content that no file has any more; in turn with the changes that add files."""

        def work(writer: Writer) -> None:
            path = self._folder / digest
            used = writer.connection.execute(select(file.c.id).where(file.c.sha256 == digest)).first()
            if used is None and path.exists():
                remove_durably(path)
                writer.event("file-content-removed", actor="server", sha256=digest)

        await self._store.change(work)


def _read_source(source: Path) -> bytes:
    try:
        mode = source.stat().st_mode
    except ValueError:  # a NUL in the name
        raise RefusedError("that is not the path of a file") from None
    if not stat.S_ISREG(mode):
        raise RefusedError(f"{source} is not a plain file")
    with source.open("rb") as stream:
        content = stream.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise RefusedError(f"{source} is larger than {MAX_FILE_BYTES // 1024 // 1024} MiB")
    return content


def _is_ordered(connection: Connection, unit_id: UnitId, digest: str) -> bool:
    """Whether a file transfer with this content is under way to the device."""
    query = (
        select(execution.c.parameters)
        .join(task, task.c.execution_id == execution.c.id)
        .where(
            task.c.unit_id == unit_id,
            task.c.finished_at.is_(None),
            execution.c.command == str(CommandName.FILE_TRANSFER),
        )
    )
    parameters = connection.execute(query).scalars().all()
    return any(msgspec.json.decode(one).get("sha256") == digest for one in parameters)


def _is_assigned(connection: Connection, unit_id: UnitId, digest: str) -> bool:
    row = registry.get(connection, unit_id)
    if row is None:
        return False
    above = [one for one, _ in chain(connection, row["directory_id"])]
    query = (
        select(file.c.id)
        .join(assignment, and_(assignment.c.object_type == "file", assignment.c.object_id == file.c.id))
        .where(
            file.c.sha256 == digest,
            or_(
                and_(assignment.c.receiver_type == "directory", assignment.c.receiver_id.in_(above)),
                and_(assignment.c.receiver_type == "device", assignment.c.receiver_id == row["id"]),
            ),
        )
    )
    return connection.execute(query).first() is not None
