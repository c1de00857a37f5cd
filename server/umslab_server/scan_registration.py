# SPDX-License-Identifier: Apache-2.0
"""Registers devices that a scan has found (O4, A6, A8): each is ordered to come, and then comes by itself.

Documented is that the UMS calls a found device on 30005, and that an OS 12 device then fetches the certificates without
trust and registers with a token; a device behind a proxy may not find the way (R5). SIMULATED is how the device is
told (NP13, wire/probes.py). The token is that of automatic registration, given to this unit ID whether or not the
switch is on. Packets get lost, so an order is sent again until the device is registered, or waits for approval, which
the event feed proves, or until the time is over. Default directory rules place a device only when that is wished for
(A8), at its first report like all others.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from dataclasses import dataclass
from typing import TYPE_CHECKING

from umslab_protocol.values.unit_id import parse_unit_id
from umslab_protocol.wire.probes import RegisterOrder, write_register_order
from umslab_runtime.policy import TargetRefusedError
from umslab_runtime.streams import known_address
from umslab_runtime.udp import DatagramError
from umslab_runtime.workers import sleep
from umslab_server import scan_orders
from umslab_server.automatic import Token
from umslab_server.errors import RefusedError
from umslab_server.scan_report import ScanRegistered

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from umslab_protocol.values.unit_id import UnitId
    from umslab_runtime.clock import Clock
    from umslab_runtime.network import Network
    from umslab_runtime.udp import UdpEndpoint
    from umslab_server.automatic import Automatic
    from umslab_server.scan_report import ScannedDevice, ScanWish
    from umslab_server.store import Store

AGAIN_SECONDS = 2.0
"""Between two orders to the same device."""
REGISTER_SECONDS = 30.0
"""For the devices to come; their tokens live longer."""
MAX_ORDERS = 1_000
"""Devices that one scan orders to register."""


@dataclass(frozen=True, slots=True)
class _Order:
    payload: bytes
    host: str


class ScanRegistration:
    """Orders found devices to register. `open` it with the ports they are to come to."""

    def __init__(self, store: Store, network: Network, automatic: Automatic, *, reply_host: str, clock: Clock) -> None:
        """`reply_host` is the address scans come from: devices heed an order from there only."""
        self._store = store
        self._network = network
        self._automatic = automatic
        self._reply_host = reply_host
        self._clock = clock
        self._web_port = 0
        self._os11_port = 0

    def open(self, *, web_port: int, os11_port: int) -> None:
        """Say where devices are to come to; 0: not at all."""
        self._web_port, self._os11_port = web_port, os11_port

    async def register(
        self,
        wish: ScanWish,
        found: Sequence[ScannedDevice],
        *,
        nonce: bytes,
        port: int,
        actor: str,
        on_progress: Callable[[int, int], Awaitable[None]],
    ) -> list[ScanRegistered]:
        """Order those that are wished for, and say what became of each.

        `nonce` is that of the scan, `port` where devices listen; `on_progress` is told how many are ordered, and how
        many of them are registered. Raises `ListenError` and `RefusedError`.
        """
        refused, chosen = choose(wish, found)
        if len(chosen) > MAX_ORDERS:
            raise RefusedError(f"{len(chosen)} devices are more than the {MAX_ORDERS} that one scan registers")
        orders: dict[UnitId, _Order] = {}
        for one in chosen:
            order = self._order(one, nonce)
            if isinstance(order, str):
                refused[one.unit_id] = order
            else:
                orders[parse_unit_id(one.unit_id)] = order
        if orders:
            hosts = {unit_id: order.host for unit_id, order in orders.items()}
            since = await self._store.change(
                lambda writer: scan_orders.note(writer, hosts, by_rules=wish.by_rules, actor=actor)
            )
            await self._send_until_come(orders, refused, port, since, on_progress)
        done = sorted({*refused, *orders})
        return [ScanRegistered(unit_id=one, registered=one not in refused, why=refused.get(one, "")) for one in done]

    def _order(self, device: ScannedDevice, nonce: bytes) -> _Order | str:
        unit_id = parse_unit_id(device.unit_id)
        granted = self._automatic.grant(unit_id)
        if not isinstance(granted, Token):
            return granted.message
        token = urlsafe_b64decode(granted.text + "=")
        order = RegisterOrder(
            nonce=nonce, unit_id=unit_id, web_port=self._web_port, os11_port=self._os11_port, token=token
        )
        return _Order(write_register_order(order), device.address)

    async def _send_until_come(
        self,
        orders: dict[UnitId, _Order],
        refused: dict[str, str],
        port: int,
        since: int,
        on_progress: Callable[[int, int], Awaitable[None]],
    ) -> None:
        """Put into `refused` those that have not come in time, wait for approval, or may not be called."""
        endpoint = await self._network.udp(self._reply_host, 0)
        end = self._clock.monotonic() + REGISTER_SECONDS
        left, registered = dict(orders), set[str]()
        try:
            while left:
                for unit_id, why in _send(endpoint, left, port).items():
                    refused[unit_id] = why
                    del left[unit_id]
                await on_progress(len(orders), len(registered))
                await sleep(AGAIN_SECONDS)
                registered, waiting = await self._store.read(
                    lambda connection: scan_orders.come_since(connection, since)
                )
                left = {unit_id: order for unit_id, order in left.items() if unit_id not in registered | waiting}
                if self._clock.monotonic() >= end:
                    break
        finally:
            endpoint.close()
        await on_progress(len(orders), len(registered))
        missing = orders.keys() - registered - refused.keys()
        refused |= await self._store.read(lambda connection: scan_orders.why_not_come(connection, missing, since))


def choose(wish: ScanWish, found: Sequence[ScannedDevice]) -> tuple[dict[str, str], list[ScannedDevice]]:
    """Return those that cannot be ordered, with why, and those that are to be.

    With `register_all_new` these are those without a UMS that the server does not know, or has only been told of.
    """
    by_unit_id = {one.unit_id: one for one in found}
    refused: dict[str, str] = {}
    chosen: dict[str, ScannedDevice] = {}
    for text in wish.register:
        unit_id = parse_unit_id(text)
        one = by_unit_id.get(unit_id)
        if one is None:
            refused[unit_id] = "the scan has not found it"
        elif one.has_ums:
            refused[unit_id] = "it is registered already, here or elsewhere"
        elif one.known == "in-bin":
            refused[unit_id] = "it is in the recycle bin: restore it or delete it for good"
        else:
            chosen[unit_id] = one
    if wish.register_all_new:
        chosen |= {one.unit_id: one for one in found if one.known in {"new", "never-registered"} and not one.has_ums}
    return refused, list(chosen.values())


def _send(endpoint: UdpEndpoint, orders: dict[UnitId, _Order], port: int) -> dict[UnitId, str]:
    """Send each; returns those that may not be sent."""
    refused: dict[UnitId, str] = {}
    for unit_id, order in orders.items():
        try:
            endpoint.send_to(order.payload, known_address(order.host, port))
        except (TargetRefusedError, DatagramError) as error:
            refused[unit_id] = f"the order could not be sent: {error}"
    return refused
