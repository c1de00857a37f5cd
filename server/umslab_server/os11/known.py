# SPDX-License-Identifier: Apache-2.0
"""What the registry knows an OS 11 device by: its key, its certificate, and where it listens (G8, G10-G12, P10)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from umslab_protocol.values.device_key import DeviceKey, parse_device_key
from umslab_protocol.values.host_port import PUSH_PORT, HostPort
from umslab_protocol.values.unit_id import UnitId
from umslab_server.sessions import Admitted
from umslab_server.tables import OS11, device, tombstone

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping


@dataclass(frozen=True, slots=True)
class Known:
    """An OS 11 device, registered or deleted."""

    unit_id: UnitId
    key: DeviceKey
    certificate: str
    """PEM."""
    address: HostPort | None
    """Where it is called; None: it never had an address (WL6)."""
    registered: bool
    """False: it was deleted, and is to be told so (L4)."""
    info_digest: str = ""
    boot: str = ""

    def admitted(self, *, called: bool) -> Admitted:
        """Describe its session to the services."""
        return Admitted(
            self.unit_id,
            known=self.registered,
            info_digest=self.info_digest,
            boot=self.boot,
            os11=True,
            called=called,
        )


def find(connection: Connection, unit_id: str) -> Known | None:
    """Return what is known of an OS 11 device; None for every other."""
    row = connection.execute(select(device).where(device.c.unit_id == unit_id)).mappings().first()
    if row is not None:
        if row["generation"] != OS11 or not row["device_key"]:
            return None
        digest = hashlib.sha256(row["info"].encode()).hexdigest()
        return _known(row, registered=True, info_digest=digest, boot=row["boot"])
    row = connection.execute(select(tombstone).where(tombstone.c.unit_id == unit_id)).mappings().first()
    return None if row is None or not row["device_key"] else _known(row, registered=False)


def list_callable(connection: Connection) -> list[str]:
    """The unit IDs of all that can be called: those that are registered, and those that are to be told of it (L4)."""
    here = select(device.c.unit_id).where(device.c.generation == OS11, device.c.device_key != "")
    gone = select(tombstone.c.unit_id).where(tombstone.c.device_key != "")
    return [unit_id for query in (here, gone) for unit_id in connection.execute(query).scalars()]


def _known(row: RowMapping, *, registered: bool, info_digest: str = "", boot: str = "") -> Known:
    return Known(
        UnitId(row["unit_id"]),
        parse_device_key(row["device_key"]),
        row["device_certificate"],
        HostPort(row["last_ip"], row["push_port"] or PUSH_PORT) if row["last_ip"] else None,
        registered,
        info_digest,
        boot,
    )
