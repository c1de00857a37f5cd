# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.sweeping: sweeps over sockets and over the memory network, with loss and floods."""

from __future__ import annotations

import os
import random
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
import trio.lowlevel

from umslab_protocol.machines.online_check import (
    CheckEvent,
    CheckRules,
    Missed,
    OnlineCheck,
    Reached,
    Skipped,
    Target,
    Verdict,
)
from umslab_protocol.values.unit_id import UnitId
from umslab_protocol.wire.probes import PROBE_PORT, read_online_answer, read_probe, write_online_answer
from umslab_runtime.clock import SystemClock
from umslab_runtime.net_memory import MemoryNetwork
from umslab_runtime.net_trio import TrioNetwork
from umslab_runtime.streams import Address
from umslab_runtime.sweeping import RECEIVED_AT_ONCE, Sweeping

from .carriers import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from umslab_runtime.udp import UdpEndpoint


class _Checker:
    """A sweeping server and what it found."""

    def __init__(self, endpoint: UdpEndpoint, rules: CheckRules) -> None:
        self.endpoint = endpoint
        self.events: list[CheckEvent] = []
        self.check = OnlineCheck(rules, reply_port=endpoint.address.port, entropy=os.urandom)
        self.sweeping = Sweeping(endpoint, self.check, clock=SystemClock(), on_event=self.events.append)

    def of(self, kind: type[CheckEvent]) -> set[str]:
        """The devices of which this became known."""
        return {event.unit_id for event in self.events if isinstance(event, kind)}


@asynccontextmanager
async def _checker(endpoint: UdpEndpoint, **rules: float) -> AsyncIterator[_Checker]:
    checker = _Checker(endpoint, CheckRules(**rules))  # type: ignore[arg-type]
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(checker.sweeping.run)
            yield checker
            nursery.cancel_scope.cancel()
    finally:
        endpoint.close()


def _unit(number: int) -> UnitId:
    return UnitId(f"02{number:010X}")


def _host(number: int) -> str:
    return f"127.3.{number // 250}.{1 + number % 250}"


async def _answer(endpoint: UdpEndpoint) -> None:
    """Be all devices that are asked here."""
    while True:
        received = await endpoint.receive()
        probe = read_probe(received.payload)
        assert probe.unit_id is not None
        answer = write_online_answer(probe.unit_id, probe.nonce)
        endpoint.send_to(answer, Address(received.source.host, probe.reply_port), source=received.destination)


async def test_thousand_addresses_on_loopback() -> None:
    """All answer, over real sockets, however small the window is."""
    devices = await TrioNetwork().udp("0.0.0.0", 0, interface="lo")
    targets = [Target(_unit(number), _host(number), devices.address.port) for number in range(1000)]
    with trio.fail_after(PATIENCE * 3):
        async with (
            trio.open_nursery() as nursery,
            _checker(await TrioNetwork().udp("127.0.0.1", 0), timeout_seconds=10.0, parallel=50) as checker,
        ):
            nursery.start_soon(_answer, devices)
            await checker.sweeping.sweep(targets)
            nursery.cancel_scope.cancel()

            assert {target.unit_id for target in targets} == checker.of(Reached)
            assert 1000 == checker.check.probes
    devices.close()


async def test_refused_addresses_are_skipped_and_unreachable_ones_missed() -> None:
    """What the policy forbids says nothing about a device; where there is no way, nobody answers."""
    async with _checker(await TrioNetwork().udp("127.0.0.1", 0), timeout_seconds=0.1) as checker:
        with trio.fail_after(PATIENCE):
            await checker.sweeping.sweep([Target(_unit(1), "8.8.8.8", 1), Target(_unit(2), "127.0.0.1", 0)])

        assert ({_unit(1)}, {_unit(2)}) == (checker.of(Skipped), checker.of(Missed))
        assert 1 == checker.sweeping.unsent


async def test_sweep_of_nobody_is_over_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """And so is one after it."""
    async with _checker(await MemoryNetwork().host("ums").udp("", 0)) as checker:
        await checker.sweeping.sweep([])
        await checker.sweeping.sweep([])

        assert 0 == trio.current_time()


async def test_missed_at_the_deadline_in_virtual_time(autojump_clock: trio.testing.MockClock) -> None:
    """One try lasts the timeout, three last three times as long."""
    async with _checker(await MemoryNetwork().host("ums").udp("", 0), timeout_seconds=0.5) as checker:
        await checker.sweeping.sweep([Target(_unit(1), "gone", PROBE_PORT)])

        assert 0.5 == pytest.approx(trio.current_time())
        checker.check.rules = CheckRules(timeout_seconds=0.5, tries=3)
        await checker.sweeping.sweep([Target(_unit(1), "gone", PROBE_PORT)])
        assert 2.0 == pytest.approx(trio.current_time())
        assert [Missed(_unit(1)), Missed(_unit(1))] == checker.events


async def test_late_answers_are_counted_between_sweeps(autojump_clock: trio.testing.MockClock) -> None:
    """Slower than the timeout: offline, and the counter says why."""
    network = MemoryNetwork(latency=0.3)
    devices = await network.host("devices").udp("", PROBE_PORT)
    async with (
        trio.open_nursery() as nursery,
        _checker(await network.host("ums").udp("", 0), timeout_seconds=0.5) as checker,
    ):
        nursery.start_soon(_answer, devices)
        await checker.sweeping.sweep([Target(_unit(1), "devices", PROBE_PORT)])
        await trio.sleep(1)

        assert [Missed(_unit(1))] == checker.events
        assert {Verdict.LATE: 1} == checker.check.verdicts
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_with_loss_nobody_is_missed_unless_all_its_tries_were_lost(
    seed: int, autojump_clock: trio.testing.MockClock
) -> None:
    """5 % of the datagrams in each direction: the trace of what was lost tells exactly who is missed."""
    network, chance, lost = MemoryNetwork(latency=0.01), random.Random(seed), Counter[str]()

    def loses(payload: bytes) -> bool:
        if chance.random() >= 0.05:
            return False
        is_answer = payload[5] & 0x80
        lost[read_online_answer(payload).unit_id if is_answer else read_probe(payload).unit_id or ""] += 1
        return True

    network.datagrams.loses = loses
    count = 2000
    devices = await network.host("devices", *map(_host, range(count))).udp("", PROBE_PORT, interface="lo")
    targets = [Target(_unit(number), _host(number), PROBE_PORT) for number in range(count)]
    async with (
        trio.open_nursery() as nursery,
        _checker(await network.host("ums").udp("", 0), tries=2) as checker,
    ):
        nursery.start_soon(_answer, devices)
        await checker.sweeping.sweep(targets)
        nursery.cancel_scope.cancel()

        assert {unit_id for unit_id, tries in lost.items() if tries == 2} == checker.of(Missed)
        assert 0 < len(checker.of(Missed)) < count * 0.03
        assert count == len(checker.of(Missed) | checker.of(Reached))


async def test_flood_holds_nobody_up(autojump_clock: trio.testing.MockClock) -> None:
    """A hundred thousand forgeries: others get their turns, the device that answers is reached, nobody else."""
    network = MemoryNetwork()
    devices = await network.host("devices").udp("", PROBE_PORT)
    forger = await network.host("forger").udp("", 0)
    turns, most = 0, 100_000

    async def forge(to: Address) -> None:
        nonlocal turns
        for number in range(most):
            forger.send_to(write_online_answer(_unit(2), number.to_bytes(16, "big")), to)
            if number % (4 * RECEIVED_AT_ONCE) == 0:
                turns += 1
                await trio.lowlevel.checkpoint()

    async with (
        trio.open_nursery() as nursery,
        _checker(await network.host("ums").udp("", 0)) as checker,
    ):
        nursery.start_soon(forge, checker.endpoint.address)
        nursery.start_soon(_answer, devices)
        await checker.sweeping.sweep([Target(_unit(1), "devices", PROBE_PORT), Target(_unit(2), "gone", PROBE_PORT)])
        nursery.cancel_scope.cancel()

        assert [Reached, Missed] == [type(event) for event in checker.events]
        forged = checker.check.verdicts[Verdict.FORGED]
        assert forged + network.datagrams.dropped["full"] == most
        assert turns == most // (4 * RECEIVED_AT_ONCE) + 1


async def test_cancelled_sweep_leaves_nothing_behind(autojump_clock: trio.testing.MockClock) -> None:
    """The next one begins as if it had not been."""
    async with _checker(await MemoryNetwork().host("ums").udp("", 0)) as checker:
        with trio.move_on_after(0.2):
            await checker.sweeping.sweep([Target(_unit(1), "gone", PROBE_PORT)])
        await checker.sweeping.sweep([Target(_unit(2), "gone", PROBE_PORT)])

        assert [Missed(_unit(2))] == checker.events
