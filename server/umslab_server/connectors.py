# SPDX-License-Identifier: Apache-2.0
"""The addresses devices connect to (W4-W7, S4, S5) or enrol at (S7), and what a new web port does to them (T4).

The first is the cluster address, without one the public address, without one this server's own name and port; further
ones are added by hand. A fresh installation sends no list: its devices know the address they came in by.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec
import structlog
from msgspec import Struct
from sqlalchemy import func, select

from umslab_protocol.values.est_address import parse_est_address
from umslab_protocol.values.host_port import HostPort, parse_host_port
from umslab_protocol.wire.messages import Connectors as ConnectorsMessage
from umslab_protocol.wire.orders import Connector, ConnectorType
from umslab_server.errors import RefusedError
from umslab_server.handout import Handout, Wanted, is_active
from umslab_server.meta import read_meta, write_meta
from umslab_server.store import timestamp
from umslab_server.tables import connector, device

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, RowMapping

    from umslab_protocol.wire.messages import Hello
    from umslab_runtime.clock import Clock
    from umslab_server.config import ConnectorsConfig
    from umslab_server.presence import Presence
    from umslab_server.sessions import LiveSession
    from umslab_server.store import Store, Writer

MAX_ADDED = 63
"""A list has at most 64."""
_META_PORT = "web-port"

log = structlog.get_logger(__name__)


class ConnectorError(RefusedError):
    """The list cannot be changed like this; the message says why."""


class ConnectorView(Struct, frozen=True, kw_only=True):
    """One address."""

    type: ConnectorType
    host: str
    port: int
    origin: str
    """`cluster address`, `public address`, `own name` or `added`."""


class ConnectorsView(Struct, frozen=True, kw_only=True):
    """The list, and how far it has come."""

    connectors: list[ConnectorView]
    enrolment: str
    """Where they enrol and renew, if there is an address of its own for that (S7)."""
    sent: bool
    """Whether devices that hold no list get it."""
    active: int
    """Devices that are registered, not in the recycle bin, and have a certificate that opens a session."""
    acknowledged: int
    """Those of them that hold exactly this list."""


class Connectors:
    """Keeps the list and hands it out; `start` it when the port is known and before devices connect."""

    def __init__(
        self, store: Store, presence: Presence, *, config: ConnectorsConfig, names: Sequence[str], clock: Clock
    ) -> None:
        """`names` are the configured names of this server. Raises `InvalidValueError` for an address that is none."""
        self._store = store
        self._clock = clock
        self._handout = Handout(store, presence, "connectors")
        self._own_name = names[0] if names else "localhost"
        self._cluster = parse_host_port(config.cluster_address) if config.cluster_address else None
        self._public = parse_host_port(config.public_address) if config.public_address else None
        self.enrolment = str(parse_est_address(config.enrolment_address)) if config.enrolment_address else ""
        """Where devices enrol and renew; empty: at the connectors (S7)."""
        self._port = 0
        self._added: list[Connector] = []
        self._warning: str | None = None

    async def start(self, port: int, *, chosen: bool) -> None:
        """Take up the real web port; `chosen` is False for one that differs at every start. Raises `StoreError`."""
        self._port = port
        self._want(await self._store.read(_read_added))
        if chosen:
            await self._compare_port()

    async def greeted(self, session: LiveSession, hello: Hello, booted: bool) -> None:  # noqa: FBT001 - see OnGreeted
        """Tell a device that holds another list."""
        del booted
        await self._handout.greeted(session, hello.connectors)

    def warning(self) -> str | None:
        """What is wrong with the addresses, for the status; None when nothing is."""
        return self._warning

    async def add(self, kind: ConnectorType, address: HostPort, *, actor: str) -> ConnectorsView:
        """Add an address and tell all devices. Raises `ConnectorError`."""
        if address == HostPort(self._first().host, self._first().port):
            raise ConnectorError(f"{address} is in the list already: it is the {self._origin()}")

        def work(writer: Writer) -> list[Connector]:
            added = _read_added(writer.connection)
            if any((one.host, one.port) == (address.host, address.port) for one in added):
                raise ConnectorError(f"{address} is in the list already")
            if len(added) >= MAX_ADDED:
                raise ConnectorError(f"at most {MAX_ADDED} connectors can be added: remove one first")
            writer.connection.execute(connector.insert().values(type=kind, host=address.host, port=address.port))
            writer.event("connector-added", actor=actor, type=kind, address=str(address))
            return _read_added(writer.connection)

        return await self._changed(await self._store.change(work))

    async def remove(self, address: HostPort, *, actor: str) -> ConnectorsView:
        """Remove an address that was added and tell all devices. Raises `ConnectorError`."""

        def work(writer: Writer) -> list[Connector]:
            this = (connector.c.host == address.host, connector.c.port == address.port)
            if not writer.connection.execute(connector.delete().where(*this)).rowcount:
                raise ConnectorError(self._tell_not_added(address))
            writer.event("connector-removed", actor=actor, address=str(address))
            return _read_added(writer.connection)

        return await self._changed(await self._store.change(work))

    async def view(self) -> ConnectorsView:
        """Tell the list, and how far it has come."""
        wanted, stamp = self._handout.wanted, timestamp(self._clock.utc())
        digest = "" if wanted is None else wanted.digest

        def count(connection: Connection) -> tuple[int, int]:
            active = select(func.count()).select_from(device).where(is_active(stamp))
            holding = active.where(device.c.connectors_digest == digest)
            return int(connection.execute(active).scalar() or 0), int(connection.execute(holding).scalar() or 0)

        active, acknowledged = await self._store.read(count)
        first, *added = self._list()
        origins = [(first, self._origin()), *((one, "added") for one in added)]
        return ConnectorsView(
            connectors=[
                ConnectorView(type=one.type, host=one.host, port=one.port, origin=origin) for one, origin in origins
            ],
            enrolment=self.enrolment,
            sent=wanted is not None and wanted.to_new,
            active=active,
            acknowledged=acknowledged,
        )

    async def _changed(self, added: list[Connector]) -> ConnectorsView:
        self._want(added)
        await self._handout.tell_all()
        return await self.view()

    def _want(self, added: list[Connector]) -> None:
        self._added = added
        connectors, enrolment = self._list(), self.enrolment
        digest = hashlib.sha256(msgspec.json.encode((connectors, enrolment))).hexdigest()
        self._handout.wanted = Wanted(
            digest,
            lambda number: ConnectorsMessage(id=number, digest=digest, connectors=connectors, enrolment=enrolment),
            to_new=bool(self._cluster or self._public or added or enrolment),
        )

    def _list(self) -> list[Connector]:
        first = self._first()
        return [first, *(one for one in self._added if (one.host, one.port) != (first.host, first.port))]

    def _first(self) -> Connector:
        address = self._cluster or self._public or HostPort(self._own_name, self._port)
        return Connector(type=ConnectorType.UMS, host=address.host, port=address.port)

    def _origin(self) -> str:
        return "cluster address" if self._cluster else "public address" if self._public else "own name"

    def _tell_not_added(self, address: HostPort) -> str:
        if address == HostPort(self._first().host, self._first().port):
            return f"{address} is the {self._origin()}: change it in the configuration"
        return f"{address} is not in the list of added connectors"

    async def _compare_port(self) -> None:
        port, stamp, protected = self._port, timestamp(self._clock.utc()), self._cluster is not None

        def work(writer: Writer) -> tuple[int, int] | None:
            last = read_meta(writer.connection, _META_PORT)
            if last == str(port):
                return None
            write_meta(writer.connection, _META_PORT, str(port))
            active = select(func.count()).select_from(device).where(is_active(stamp))
            lost = int(writer.connection.execute(active).scalar() or 0)
            if last is None or protected or not lost:
                return None
            writer.event("web-port-changed", actor="server", before=int(last), now=port, lost=lost)
            return int(last), lost

        if (found := await self._store.change(work)) is not None:
            before, lost = found
            self._warning = (
                f"the web port changed from {before} to {port} without a cluster address: {lost} devices on board do "
                "not find this server any more and must come on board again (T4); take the old port again, or set "
                "connectors.cluster_address before the next change"
            )
            log.warning(self._warning)


def _read_added(connection: Connection) -> list[Connector]:
    def read(row: RowMapping) -> Connector:
        return Connector(type=ConnectorType(row["type"]), host=row["host"], port=row["port"])

    return [read(row) for row in connection.execute(select(connector).order_by(connector.c.id)).mappings()]
