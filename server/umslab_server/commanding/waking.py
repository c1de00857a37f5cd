# SPDX-License-Identifier: Apache-2.0
"""Wake-on-LAN: magic packets to everybody, to the last address, into subnets, and by proxies (WL1-WL5).

Nobody answers a magic packet, so the result only says that packets were sent (WL5). MAC addresses that could belong to
a real machine are not woken.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

from sqlalchemy import select

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.address_range import parse_subnet
from umslab_protocol.values.firmware import Behaviour, FirmwareVersion, behaves
from umslab_protocol.values.unit_id import MacAddress, UnitId, is_locally_administered
from umslab_protocol.wire.messages import Command
from umslab_protocol.wire.orders import CommandName, ResultState
from umslab_runtime.magic import everybody, send_magic_packets
from umslab_runtime.network import ListenError
from umslab_runtime.policy import TargetRefusedError
from umslab_server.tables import device

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from umslab_runtime.network import Network
    from umslab_server.config import WakeConfig
    from umslab_server.reach import Reach
    from umslab_server.sessions import LiveSession
    from umslab_server.store import Store

_NEIGHBOURHOOD = 24
"""Bits that the address of a proxy found by itself has in common with that of the sleeper; ours."""


class Waker:
    """Wakes devices."""

    def __init__(self, store: Store, reach: Reach, network: Network, *, config: WakeConfig, reply_host: str) -> None:
        self._store = store
        self._reach = reach
        self._network = network
        self._config = config
        self._host = reply_host

    async def wake(self, unit_id: str, mac: str, exec_id: str) -> tuple[ResultState, str]:
        """Send what the configuration says, for one device; returns state and message of the result."""
        if not is_locally_administered(UnitId(mac)):
            return ResultState.FAILED, f"the MAC address {mac} could belong to a real machine, which umslab wakes never"
        last, proxies = await self._store.read(lambda connection: self._look(connection, unit_id))
        try:
            sent = await send_magic_packets(
                self._network, MacAddress(mac), self._addresses(last), host=self._host, port=self._config.port
            )
        except (ListenError, TargetRefusedError) as error:
            return ResultState.FAILED, f"no magic packet was sent: {error}"
        asked = [proxy.unit_id for proxy in proxies if self._ask(proxy, mac, exec_id)]
        ways = [*sent.to, *(f"proxy {proxy}" for proxy in asked)]
        failed = "".join(f"; {why}" for why in sent.failed.values())
        if not ways:
            return ResultState.FAILED, f"no magic packet was sent{failed or ': nothing in wake_on_lan says where to'}"
        return ResultState.SUCCESS, f"magic packets sent: {', '.join(ways)}{failed}"

    def _addresses(self, last: str) -> Iterator[str]:
        if self._config.broadcast:
            yield everybody(self._host)
        if self._config.last_address and last and ":" not in last:
            yield last
        for subnet in self._config.subnets:
            yield str(parse_subnet(subnet).broadcast_address)

    def _look(self, connection: Connection, unit_id: str) -> tuple[str, list[LiveSession]]:
        """Return the last address of a device, and the sessions of its proxies."""
        columns = (device.c.unit_id, device.c.last_ip, device.c.firmware)
        last = connection.execute(select(device.c.last_ip).where(device.c.unit_id == unit_id)).scalar() or ""
        if not (self._config.proxies or self._config.automatic_proxies):
            return last, []
        proxies: list[LiveSession] = []
        for row in connection.execute(select(*columns).where(device.c.binned_at.is_(None))).mappings():
            session = self._reach.get(row["unit_id"])
            if session is None or row["unit_id"] == unit_id or not _can_wake(row["firmware"]):
                continue
            found = self._config.automatic_proxies and not proxies and _are_neighbours(row["last_ip"], last)
            if row["unit_id"] in self._config.proxies or found:
                proxies.append(session)
        return last, proxies

    def _ask(self, proxy: LiveSession, mac: str, exec_id: str) -> bool:
        """Let a connected device send a packet on its own link; it does so once, whatever we hear of it."""
        parameters = {"mac": mac, "port": str(self._config.port)}
        order = f"{exec_id}-{mac}"
        return proxy.order(
            lambda number: Command(id=number, execID=order, command=CommandName.WAKE_UP, parameters=parameters),
            lambda _: None,
        )


def _can_wake(firmware: str) -> bool:
    """Whether a device can be a proxy (WL4)."""
    try:
        version = FirmwareVersion.parse(firmware)
    except InvalidValueError:
        return False
    return version.major < 12 or behaves(version, Behaviour.WAKES_OTHERS)


def _are_neighbours(one: str, other: str) -> bool:
    if not one or not other or ":" in one + other:
        return False
    return IPv4Address(other) in IPv4Network(f"{one}/{_NEIGHBOURHOOD}", strict=False)
