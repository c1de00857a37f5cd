# SPDX-License-Identifier: Apache-2.0
"""What a device is to have and why: every effective value with the profile it comes from (section 11.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from umslab_server import registry
from umslab_server.configuration.effective import Origin, count_assignments, explain
from umslab_server.configuration.library import Library
from umslab_server.configuration.reconcile import advice, has_too_many

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from umslab_protocol.values.unit_id import UnitId
    from umslab_server.store import Store


class OrderOrigin(Struct, frozen=True, kw_only=True):
    """An app or a file and where it comes from."""

    name: str
    version: str
    """Of a file its SHA-256."""
    receiver: str
    """The path of a directory, or the unit ID."""


class EffectiveView(Struct, frozen=True, kw_only=True):
    """What a device is to have."""

    unit_id: str
    directory: str
    version: int
    """0: it has not asked yet."""
    digest: str
    applied_version: int
    config_changes: str
    when: str
    assignments: int
    warning: str
    """When these are more than the sizing guide advises (section 12.1)."""
    settings: list[Origin]
    apps: list[OrderOrigin]
    files: list[OrderOrigin]


class Overview:
    """Answers what a device is to have."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def show(self, unit_id: UnitId) -> EffectiveView:
        """Return it for one device. Raises `RefusedError`."""
        return await self._store.read(lambda connection: _show(connection, unit_id))


def _show(connection: Connection, unit_id: UnitId) -> EffectiveView:
    row, library = registry.find(connection, unit_id), Library(connection)
    own = library.own([row["id"]]).get(row["id"], ())
    layers = library.layers(row["directory_id"], own, unit_id)
    document = library.document(row["directory_id"], own)
    where = {one: layer.receiver for layer in layers for one in layer.holdings if not hasattr(one, "settings")}
    count = count_assignments(layers)
    return EffectiveView(
        unit_id=unit_id,
        directory=library.path(row["directory_id"]),
        version=row["settings_version"],
        digest=document.digest,
        applied_version=row["applied_version"],
        config_changes=registry.config_changes(row),
        when=row["settings_when"],
        assignments=count,
        warning=advice(f"{count} assignments reach it") if has_too_many(count) else "",
        settings=explain(library.global_settings, layers),
        apps=[OrderOrigin(name=one.name, version=one.version, receiver=where[one]) for one in document.apps],
        files=[OrderOrigin(name=one.name, version=one.sha256, receiver=where[one]) for one in document.files],
    )
