# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.scanning: over UDP and TCP, with the agent's side played by hand."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import trio

from umslab_protocol.machines.scan import Scan, ScanVerdict
from umslab_protocol.values.unit_id import MacAddress, UnitId
from umslab_protocol.wire.probes import HEAD_BYTES, ScanAnswer, read_probe, write_scan_answer
from umslab_runtime.clock import SystemClock
from umslab_runtime.net_memory import MemoryHost, MemoryNetwork
from umslab_runtime.net_trio import TrioNetwork
from umslab_runtime.network import ListenError
from umslab_runtime.scanning import ScanPlan, run_scan
from umslab_runtime.streams import Address, Transport

PORT = 30_005
ANSWER = ScanAnswer(
    nonce=bytes(16),
    unit_id=UnitId("020000000001"),
    mac=MacAddress("020000000001"),
    name="one",
    product="p",
    firmware="11.10.210",
    has_ums=False,
)


async def _scan(network: MemoryHost | TrioNetwork, plan: ScanPlan) -> Scan:
    return await run_scan(plan, network, clock=SystemClock(), entropy=os.urandom, on_progress=lambda _: None)


async def test_broadcast_finds_all_and_lasts_as_long_as_was_asked(autojump_clock: trio.testing.MockClock) -> None:
    """Everybody with that port is asked, and has its time (N11)."""
    network = MemoryNetwork(latency=0.1)

    async def device(number: int) -> None:
        endpoint = await network.host(f"device {number}").udp("", PORT)
        received = await endpoint.receive()
        probe = read_probe(received.payload)
        answer = replace(ANSWER, nonce=probe.nonce, unit_id=UnitId(f"02{number:010X}"))
        endpoint.send_to(write_scan_answer(answer), Address(received.source.host, probe.reply_port))

    async with trio.open_nursery() as nursery:
        for number in range(1, 4):
            nursery.start_soon(device, number)
        await trio.testing.wait_all_tasks_blocked()
        scan = await _scan(network.host("ums"), ScanPlan(hosts=["255.255.255.255"], port=PORT, seconds=6.0))

    assert ["device 1", "device 2", "device 3"] == sorted(found.host for found in scan.found.values())
    assert 6.0 == pytest.approx(trio.current_time())


async def test_reply_port_that_is_taken() -> None:
    """The fixed port of N12 is somebody else's."""
    other = await TrioNetwork().udp("127.0.0.1", 0)
    plan = ScanPlan(hosts=["127.0.0.1"], port=PORT, seconds=0.1, reply_port=other.address.port)

    with pytest.raises(ListenError, match="is in use"):
        await _scan(TrioNetwork(), plan)
    other.close()


async def test_refused_addresses_are_told() -> None:
    """Over both ways, with the sentence of the policy."""
    for over_tcp in (False, True):
        scan = await _scan(TrioNetwork(), ScanPlan(hosts=["8.8.8.8"], port=PORT, seconds=0.1, over_tcp=over_tcp))

        assert "public address" in scan.refused["8.8.8.8"]


async def _say(network: MemoryNetwork, name: str, *data: bytes) -> None:
    """Take one connection, read the probe, and say this with the probe's nonce put in."""
    listener = await network.host(name).listen("", PORT)
    transport: Transport = await listener.accept()
    nonce = read_probe(bytes(await transport.receive_some(HEAD_BYTES))).nonce
    for one in data:
        await transport.send_all(one.replace(bytes(16), nonce))
    await transport.aclose()


@pytest.mark.parametrize(
    ("data", "found", "verdicts"),
    [
        ((write_scan_answer(ANSWER),), 1, {ScanVerdict.NEW: 1}),
        ((write_scan_answer(ANSWER)[:30], write_scan_answer(ANSWER)[30:]), 1, {ScanVerdict.NEW: 1}),
        (
            (write_scan_answer(ANSWER) + write_scan_answer(replace(ANSWER, unit_id=UnitId("020000000002"))),),
            2,
            {ScanVerdict.NEW: 2},
        ),
        ((b"HTTP/1.1 400 Bad Request\r\nServer: somebody else entirely\r\n\r\n",), 0, {ScanVerdict.MALFORMED: 1}),
        ((write_scan_answer(ANSWER)[:-1],), 0, {ScanVerdict.MALFORMED: 1}),
        ((), 0, {}),
    ],
)
async def test_answers_over_tcp(
    data: tuple[bytes, ...], found: int, verdicts: dict[ScanVerdict, int], autojump_clock: trio.testing.MockClock
) -> None:
    """On the same connection (T14): one or many, in any pieces; what is none is counted."""
    network = MemoryNetwork()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_say, network, "device", *data)
        await trio.testing.wait_all_tasks_blocked()
        plan = ScanPlan(hosts=["device", "nobody"], port=PORT, seconds=1.0, over_tcp=True)
        scan = await _scan(network.host("ums"), plan)

    assert (found, verdicts) == (len(scan.found), scan.verdicts)


async def test_silence_over_tcp_ends_in_time(autojump_clock: trio.testing.MockClock) -> None:
    """Many that accept and say nothing are given up together."""
    network = MemoryNetwork()
    for number in range(300):
        await network.host(f"mute {number}").listen("", PORT)
    plan = ScanPlan(hosts=[f"mute {number}" for number in range(300)], port=PORT, seconds=1.0, over_tcp=True)
    scan = await _scan(network.host("ums"), plan)

    assert {} == scan.found
    assert trio.current_time() <= 4.0
