# SPDX-License-Identifier: Apache-2.0
"""Carries scans: over one UDP endpoint, or over a TCP connection for each address (N12, T14)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from umslab_protocol.errors import RemoteProtocolError
from umslab_protocol.machines.scan import Scan
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.wire.probes import HEAD_BYTES, MAX_ANSWER_BYTES, NONCE_BYTES, answer_length
from umslab_runtime.network import DialError
from umslab_runtime.policy import TargetRefusedError
from umslab_runtime.streams import known_address
from umslab_runtime.udp import DatagramError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from umslab_protocol.machines.scan import ScanProbe
    from umslab_runtime.clock import Clock
    from umslab_runtime.network import Network
    from umslab_runtime.streams import Transport
    from umslab_runtime.udp import UdpEndpoint

SENT_AT_ONCE = 128
RECEIVED_AT_ONCE = 256
CONNECTIONS = 128
"""Addresses that are called at the same time in a scan over TCP."""
MAX_STREAM_BYTES = 4 << 20
"""Of all answers on one connection: several thousand devices may share an address."""


@dataclass(frozen=True, kw_only=True)
class ScanPlan:
    """Whom to ask, and how."""

    hosts: Sequence[str]
    """Literal addresses; 255.255.255.255 is everybody on the link."""
    port: int
    seconds: float
    over_tcp: bool = False
    reply_host: str = "127.0.0.1"
    """The address answers are sent to is bound to; unused over TCP, as the port is."""
    reply_port: int = 0


async def run_scan(
    plan: ScanPlan,
    network: Network,
    *,
    clock: Clock,
    entropy: Callable[[int], bytes],
    on_progress: Callable[[Scan], None],
) -> Scan:
    """Run a scan; `on_progress` is called whenever something was sent or has come. Raises `ListenError`."""
    nonce = entropy(NONCE_BYTES)

    def tell() -> None:
        on_progress(scan)

    if plan.over_tcp:
        scan = Scan(plan.hosts, nonce=nonce, reply_port=0, seconds=plan.seconds)
        await scan_over_tcp(scan, network, plan.port, clock=clock, seconds=plan.seconds, on_progress=tell)
        return scan
    endpoint = await network.udp(plan.reply_host, plan.reply_port)
    try:
        scan = Scan(plan.hosts, nonce=nonce, reply_port=endpoint.address.port, seconds=plan.seconds)
        await scan_over_udp(scan, endpoint, plan.port, clock=clock, on_progress=tell)
    finally:
        endpoint.close()
    return scan


async def scan_over_udp(
    scan: Scan, endpoint: UdpEndpoint, port: int, *, clock: Clock, on_progress: Callable[[], None]
) -> None:
    """Run a scan to its end; `on_progress` is called at every turn."""
    while not scan.is_over(clock.monotonic()):
        for probe in scan.output(clock.monotonic(), SENT_AT_ONCE):
            _ask(scan, probe, endpoint, port)
        on_progress()
        if scan.has_output:
            await trio.lowlevel.checkpoint()
        else:
            with trio.move_on_at(scan.deadline() or 0.0):
                await endpoint.until_readable()
        for received in endpoint.receive_nowait(RECEIVED_AT_ONCE):
            scan.receive(received.payload, received.source.host)
    on_progress()


def _ask(scan: Scan, probe: ScanProbe, endpoint: UdpEndpoint, port: int) -> None:
    try:
        endpoint.send_to(probe.payload, known_address(probe.host, port))
    except (TargetRefusedError, DatagramError) as error:
        scan.withdraw(probe, str(error))


async def scan_over_tcp(
    scan: Scan, network: Network, port: int, *, clock: Clock, seconds: float, on_progress: Callable[[], None]
) -> None:
    """Call every address, and read what devices there say on the same connection, at most so long for each."""
    places = trio.CapacityLimiter(CONNECTIONS)

    async def call(probe: ScanProbe) -> None:
        async with places:
            with trio.move_on_after(seconds):
                await _call(scan, probe, network, port)
        on_progress()

    async with trio.open_nursery() as nursery:
        while scan.has_output:
            for probe in scan.output(clock.monotonic(), CONNECTIONS):
                nursery.start_soon(call, probe)
            async with places:  # not more tasks than connections
                pass


async def _call(scan: Scan, probe: ScanProbe, network: Network, port: int) -> None:
    try:
        transport = await network.dial(HostPort(probe.host, port))
    except TargetRefusedError as error:
        scan.withdraw(probe, str(error))
        return
    except DialError:
        return  # nobody is there, which is the rule and no failure
    try:
        await transport.send_all(probe.payload)
        await _read_answers(scan, transport, probe.host)
    except (trio.BrokenResourceError, RemoteProtocolError):
        scan.receive(b"", probe.host)  # something is there, and does not speak this
    finally:
        transport.abort()


async def _read_answers(scan: Scan, transport: Transport, host: str) -> None:
    """Cut the stream into answers; raises `RemoteProtocolError` for one that goes on too long or wrongly."""
    data, total = b"", 0
    while some := await transport.receive_some(MAX_ANSWER_BYTES):
        data += some
        total += len(some)
        if total > MAX_STREAM_BYTES:
            raise RemoteProtocolError("more answers than one address can have", code="too-much")
        while len(data) >= HEAD_BYTES and len(data) >= (end := HEAD_BYTES + answer_length(data[:HEAD_BYTES])):
            scan.receive(data[:end], host)
            data = data[end:]
    if data:
        raise RemoteProtocolError("the connection ended inside an answer", code="bad-length")
