# SPDX-License-Identifier: Apache-2.0
"""Answers online checks and scans on UDP 30005, for one device or ten thousand (P9, N4, N11-N15, T11, T14).

One endpoint answers for all devices of a process. A device may have an address of its own (127.x.y.z, or one of a
namespace's interface); then only what is sent there, or to everybody, is for it, and its answers come from there.
Devices without one share the address the endpoint is bound to and are told apart by the unit ID that an online check
names.

Why one endpoint and not a socket a device: measured with 10,000 addresses, one socket that has the whole interface and
is told each datagram's destination answers 38,000 probes/s, 10,000 sockets in one epoll set 31,000; it needs one
descriptor, and it hears broadcasts, which a socket bound to an address does not.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from umslab_protocol.errors import RemoteProtocolError
from umslab_protocol.wire.probes import (
    HEAD_BYTES,
    ScanAnswer,
    is_register_order,
    read_probe,
    read_register_order,
    write_online_answer,
    write_scan_answer,
)
from umslab_runtime.policy import EVERYBODY, TargetRefusedError
from umslab_runtime.streams import known_address
from umslab_runtime.udp import DatagramError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from umslab_protocol.values.unit_id import MacAddress, UnitId
    from umslab_protocol.wire.probes import Probe, RegisterOrder
    from umslab_runtime.streams import Address, Stream
    from umslab_runtime.udp import Received, UdpEndpoint

AT_ONCE = 512
"""Datagrams before everybody else gets a turn."""
ANSWERS_AT_ONCE = 64
"""Answers to scans before what has arrived is looked at again."""
MAX_OPEN_SCANS = 16
"""Scans that wait for their turn; more are not answered."""
KEPT_SCANS = 64
"""The last scans, whose askers may order devices to register."""
TCP_SECONDS = 10.0
_EVERYBODY = str(EVERYBODY)


@dataclass(slots=True, kw_only=True)
class Answerer:
    """One device as it shows itself to those who ask; it may change while it is listed."""

    unit_id: UnitId
    mac: MacAddress
    name: str
    product: str
    firmware: str
    has_ums: bool = False
    """Whether it is registered somewhere."""
    checked: bool = True
    """Whether it answers online checks, as OS 11 does; scans are answered by all (T11, N10)."""
    address: str = ""
    """Its own address; without one it shares the endpoint's."""
    ordered: Callable[[RegisterOrder, str], bool] | None = field(default=None, repr=False)
    """Takes an order to register, and the address it came from; tells whether the device obeys."""

    def scan_answer(self, nonce: bytes) -> bytes:
        """Write its answer to a scan."""
        return write_scan_answer(
            ScanAnswer(
                nonce=nonce,
                unit_id=self.unit_id,
                mac=self.mac,
                name=self.name,
                product=self.product,
                firmware=self.firmware,
                has_ums=self.has_ums,
            )
        )


class Answering:
    """Devices `join` while they are awake and `leave` when they are not; keep `run` running."""

    def __init__(self, endpoint: UdpEndpoint) -> None:
        self.counters: Counter[str] = Counter()
        """`online-checks` and `scans` answered, `orders` obeyed, and what was not: `malformed`, `not-here`, `refused`,
        `unsent`; `unasked` is an order of somebody who has not scanned, `disobeyed` one to somebody who does not wait.
        """
        self._endpoint = endpoint
        self._by_unit_id: dict[UnitId, Answerer] = {}
        self._by_address: dict[str, Answerer] = {}
        self._scans: deque[tuple[bytes, Address, deque[Answerer]]] = deque()
        self._scanned: deque[tuple[bytes, str]] = deque(maxlen=KEPT_SCANS)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._endpoint.address.port

    def join(self, device: Answerer) -> None:
        """Answer for this device. Raises `ValueError` when its unit ID or its address is taken."""
        if device.unit_id in self._by_unit_id:
            raise ValueError(f"two devices with the unit ID {device.unit_id}")
        if device.address:
            if device.address in self._by_address:
                raise ValueError(f"two devices with the address {device.address}")
            self._by_address[device.address] = device
        self._by_unit_id[device.unit_id] = device

    def leave(self, unit_id: UnitId) -> None:
        """Answer no more for this device; nothing when it was not here."""
        device = self._by_unit_id.pop(unit_id, None)
        if device is not None and device.address:
            del self._by_address[device.address]

    async def run(self) -> None:
        """Answer for ever."""
        while True:
            if self._scans:
                await trio.lowlevel.checkpoint()
            else:
                await self._endpoint.until_readable()
            for received in self._endpoint.receive_nowait(AT_ONCE):
                self._take(received)
            self._answer_scans()

    async def answer_over_tcp(self, stream: Stream, destination: str) -> None:
        """Answer one scan that came over TCP, on the same connection (T14), and close it.

        `destination` is the address that was called. Whatever the other side does, this ends within `TCP_SECONDS`, and
        no more is read than the probe is long.
        """
        try:
            with trio.move_on_after(TCP_SECONDS):
                probe = read_probe(await _receive_exactly(stream, HEAD_BYTES))
                if probe.unit_id is None:
                    answers = [device.scan_answer(probe.nonce) for device in self._asked_by_scan(destination)]
                    self.counters["scans"] += len(answers)
                    await stream.send_all(b"".join(answers))
                    await stream.aclose()
        except (RemoteProtocolError, trio.BrokenResourceError):
            self.counters["malformed"] += 1
        finally:
            stream.abort()

    # Inside.

    def _take(self, received: Received) -> None:
        try:
            if is_register_order(received.payload):
                self._take_order(read_register_order(received.payload), received)
                return
            probe = read_probe(received.payload)
        except RemoteProtocolError:
            self.counters["malformed"] += 1
            return
        back = known_address(received.source.host, probe.reply_port or received.source.port)
        if probe.unit_id is not None:
            self._answer_check(probe, received.destination, back)
        elif len(self._scans) < MAX_OPEN_SCANS:
            self._scanned.append((probe.nonce, received.source.host))
            self._scans.append((probe.nonce, back, deque(self._asked_by_scan(received.destination))))

    def _answer_check(self, probe: Probe, destination: str, back: Address) -> None:
        device = None if probe.unit_id is None else self._by_unit_id.get(probe.unit_id)
        if device is None or not device.checked or (device.address and device.address != destination):
            self.counters["not-here"] += 1
            return
        self._send(device, write_online_answer(device.unit_id, probe.nonce), back, "online-checks")

    def _take_order(self, order: RegisterOrder, received: Received) -> None:
        """Pass it on if it comes from somebody who has scanned (NP13); nothing is answered."""
        device = self._by_unit_id.get(order.unit_id)
        if device is None or (device.address and device.address != received.destination):
            self.counters["not-here"] += 1
        elif (order.nonce, received.source.host) not in self._scanned:
            self.counters["unasked"] += 1
        elif device.ordered is None or not device.ordered(order, received.source.host):
            self.counters["disobeyed"] += 1
        else:
            self.counters["orders"] += 1

    def _asked_by_scan(self, destination: str) -> Iterable[Answerer]:
        """Who is meant: everybody by a broadcast, a device by its own address, those that share the endpoint's."""
        if destination == _EVERYBODY:
            return self._by_unit_id.values()
        if destination in self._by_address:
            return [self._by_address[destination]]
        return [device for device in self._by_unit_id.values() if not device.address]

    def _answer_scans(self) -> None:
        for _ in range(ANSWERS_AT_ONCE):
            while self._scans and not self._scans[0][2]:
                self._scans.popleft()
            if not self._scans:
                return
            nonce, back, waiting = self._scans[0]
            device = waiting.popleft()
            if self._by_unit_id.get(device.unit_id) is device:
                self._send(device, device.scan_answer(nonce), back, "scans")

    def _send(self, device: Answerer, answer: bytes, to: Address, what: str) -> None:
        try:
            sent = self._endpoint.send_to(answer, to, unit_id=device.unit_id, source=device.address)
        except TargetRefusedError:
            what = "refused"
        except DatagramError:
            what = "unsent"
        else:
            what = what if sent else "unsent"
        self.counters[what] += 1


async def _receive_exactly(stream: Stream, size: int) -> bytes:
    """Receive so many bytes; raises `RemoteProtocolError` when the stream ends before."""
    data = b""
    while len(data) < size:
        some = await stream.receive_some(size - len(data))
        if not some:
            raise RemoteProtocolError("the connection ended inside a probe", code="bad-length")
        data += some
    return data
