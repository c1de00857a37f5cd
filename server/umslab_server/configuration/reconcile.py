# SPDX-License-Identifier: Apache-2.0
"""The part of every change of the configuration that keeps the devices' rows true, in the change's own transaction.

A device's row says which version and digest it is to have (`settings_*`) and which it has acknowledged (`applied_*`).
A change that alters a document gives its devices the next version. When it is `kept` for the reboot, the device gets it
after its next boot; once anything that it waits for is for now, all of it goes now, because a document is whole.

A device that has never asked (version 0) gets its first version when it does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, select

from umslab_server import registry
from umslab_server.configuration.effective import count_assignments
from umslab_server.configuration.library import Library, chunks
from umslab_server.configuration.tree import subtree
from umslab_server.tables import assignment, device

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import ColumnElement, Connection, Row

    from umslab_protocol.values.unit_id import UnitId
    from umslab_server.configuration.document import Document
    from umslab_server.store import Writer

ADVISED_ASSIGNMENTS = 25  # section 12.1: keep assignments per device below it


class When(StrEnum):
    """When devices get a change."""

    NOW = "now"
    REBOOT = "reboot"


@dataclass(frozen=True, slots=True)
class Push:
    """A device that is to be sent its settings, if it is connected."""

    unit_id: str
    version: int
    document: Document


@dataclass(slots=True)
class Settled:
    """What a change did to devices."""

    changed: int = 0
    """Devices that are to have something else now."""
    warnings: list[str] = field(default_factory=list)
    pushes: list[Push] = field(default_factory=list)

    def add(self, other: Settled) -> None:
        """Take in what another part of the same change did; of two documents for a device the later one counts."""
        self.changed += other.changed
        self.warnings += other.warnings
        self.pushes += other.pushes


_WANTED = (
    device.c.id,
    device.c.unit_id,
    device.c.directory_id,
    device.c.settings_version,
    device.c.settings_digest,
    device.c.settings_when,
    device.c.applied_digest,
    device.c.binned_at,
)
_BUMP = (
    device.update()
    .where(device.c.id == bindparam("device"))
    .values(settings_version=bindparam("version"), settings_digest=bindparam("digest"), settings_when=bindparam("due"))
)


def all_devices(connection: Connection) -> list[int]:
    """Every device."""
    return list(connection.execute(select(device.c.id)).scalars())


def devices_below(connection: Connection, directories: Iterable[int]) -> list[int]:
    """The devices in these directories and all below them."""
    ids: set[int] = set()
    for one in directories:
        if one not in ids:
            ids |= subtree(connection, one)
    found: list[int] = []
    for some in chunks(sorted(ids)):
        found += connection.execute(select(device.c.id).where(device.c.directory_id.in_(some))).scalars()
    return found


def devices_with(connection: Connection, object_type: str, object_id: int) -> list[int]:
    """The devices that an object reaches by any of its assignments."""
    query = select(assignment.c.receiver_type, assignment.c.receiver_id).where(
        assignment.c.object_type == object_type, assignment.c.object_id == object_id
    )
    rows = connection.execute(query).all()
    below = devices_below(connection, [row.receiver_id for row in rows if row.receiver_type == "directory"])
    return list({*below, *(row.receiver_id for row in rows if row.receiver_type == "device")})


def reconcile(
    writer: Writer, device_ids: Sequence[int], *, actor: str, cause: str, when: When, warn: bool = False
) -> Settled:
    """Compute the documents of these devices anew; give those that differ their next version, with one event.

    `warn` also looks at how many assignments reach a device. Raises `DocumentTooLargeError`.
    """
    library, settled = Library(writer.connection), Settled()
    ids = sorted(set(device_ids))
    changes, dues, crowded, changed_id = [], set(), 0, None
    own = library.own(ids)
    for row in _rows(writer.connection, device.c.id, ids):
        mine = own.get(row.id, ())
        document = library.document(row.directory_id, mine)
        crowded += warn and has_too_many(count_assignments(library.layers(row.directory_id, mine, "")))
        if row.settings_version == 0 or row.settings_digest == document.digest:
            continue
        due, version = _due(row, when), row.settings_version + 1
        changes.append({"device": row.id, "version": version, "digest": document.digest, "due": str(due)})
        dues.add(str(due))
        if due is When.NOW and row.binned_at is None:  # RB1: a device in the bin gets no settings
            settled.pushes.append(Push(row.unit_id, version, document))
        changed_id = row.unit_id
    if changes:
        writer.connection.execute(_BUMP, changes)
        unit_id = changed_id if len(changes) == 1 else None
        due_at = dues.pop() if len(dues) == 1 else "now and at reboot"
        writer.event("settings-changed", actor=actor, unit_id=unit_id, cause=cause, count=len(changes), when=due_at)
    settled.changed = len(changes)
    if crowded:
        sentence = f"{ADVISED_ASSIGNMENTS} assignments or more reach {crowded} device{'' if crowded == 1 else 's'}"
        settled.warnings.append(advice(sentence))
        writer.event("sizing-warning", actor=actor, cause=sentence)
    return settled


def has_too_many(assignments: int) -> bool:
    """Whether so many reach a device that the sizing guide advises against it."""
    return assignments >= ADVISED_ASSIGNMENTS


def advice(sentence: str) -> str:
    """Add who says so to a sentence about a number of the sizing guide that is exceeded (section 12.1)."""
    return f"{sentence}: the sizing guide advises against it"


def first_version(writer: Writer, unit_id: UnitId) -> Push | None:
    """Give a device that asks for the first time its version 1; return what to send it, None if that is kept.

    Also for a row that does not match its document. Raises `RegistryError`, `DocumentTooLargeError`.
    """
    library = Library(writer.connection)
    row = registry.find(writer.connection, unit_id)
    document = library.document(row["directory_id"], library.own([row["id"]]).get(row["id"], ()))
    version = int(row["settings_version"])
    if version and row["settings_digest"] == document.digest:
        held = row["settings_when"] == When.REBOOT and row["applied_digest"] != document.digest
        return None if held else Push(unit_id, version, document)
    version += 1
    values = {"device": row["id"], "version": version, "digest": document.digest, "due": str(When.NOW)}
    writer.connection.execute(_BUMP, values)
    writer.event(
        "settings-changed", actor="server", unit_id=unit_id, cause="the device asked for the first time", count=1,
        when=str(When.NOW),
    )  # fmt: skip
    return Push(unit_id, version, document)


def release(writer: Writer, unit_ids: Sequence[str], *, actor: str) -> Settled:
    """Let devices have now what is kept for their reboot."""
    library, settled = Library(writer.connection), Settled()
    held = [
        row
        for row in _rows(writer.connection, device.c.unit_id, list(unit_ids))
        if row.settings_when == When.REBOOT and row.settings_digest != row.applied_digest and row.binned_at is None
    ]
    own = library.own([row.id for row in held])
    for row in held:
        document = library.document(row.directory_id, own.get(row.id, ()))
        settled.pushes.append(Push(row.unit_id, row.settings_version, document))
    for some in chunks([row.id for row in held]):
        writer.connection.execute(device.update().where(device.c.id.in_(some)).values(settings_when=str(When.NOW)))
    settled.changed = len(held)
    unit_id = held[0].unit_id if len(held) == 1 else None
    writer.event("settings-released", actor=actor, unit_id=unit_id, count=len(held))
    return settled


def _due(row: Row[Any], when: When) -> When:
    """What waits already for now takes a later change with it."""
    waits = row.settings_digest != row.applied_digest
    return When.NOW if waits and row.settings_when == When.NOW else when


def _rows(connection: Connection, column: ColumnElement[Any], values: Sequence[object]) -> list[Row[Any]]:
    rows: list[Row[Any]] = []
    for some in chunks(values):
        rows.extend(connection.execute(select(*_WANTED).where(column.in_(some)).order_by(device.c.id)))
    return rows
