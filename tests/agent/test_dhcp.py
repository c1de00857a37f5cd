# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_agent.dhcp."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import trio

from tests.protocol.machines.dhcp_server import OS12, TinyServer
from tests.runtime.dhcp_servers import RELAY, MemoryServer, relayed
from umslab_agent.dhcp import DhcpAnswer, DhcpQuestion, ask_dhcp
from umslab_protocol.values.unit_id import MacAddress
from umslab_protocol.wire.dhcp_options import Option
from umslab_protocol.wire.igel_dhcp import ExtraCodes, Item, vendor_payload
from umslab_runtime.clock import VirtualClock
from umslab_runtime.dhcp_runner import Outcome
from umslab_runtime.net_memory import MemoryNetwork

if TYPE_CHECKING:
    from trio.testing import MockClock

QUESTION = DhcpQuestion(mac=MacAddress("020000000001"), firmware=OS12, relay=RELAY)
OPTIONS = (Option(43, vendor_payload(server="192.0.2.10", tag="HQ", exclusive=True) + b"\xf0\x049443"),)


async def _ask(server: MemoryServer, question: DhcpQuestion = QUESTION, *, keep: bool = False) -> DhcpAnswer:
    async with trio.open_nursery() as nursery:
        door = await relayed(MemoryNetwork(latency=0.01), nursery, server)
        clock = VirtualClock(datetime(2026, 11, 22, tzinfo=UTC))
        answer = await ask_dhcp(door, clock, question, chance=random.Random(1).random, keep=keep)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    return answer


async def test_lease(autojump_clock: MockClock) -> None:
    """The device sees its UMS, and the address is given back, or kept."""
    server = MemoryServer(TinyServer(options=OPTIONS))
    answer = await _ask(server, replace(QUESTION, extra=ExtraCodes(port=240)))

    assert answer.view is not None
    assert ("192.0.2.10", "HQ", "9443") == tuple(answer.view.value(item) for item in (Item.SERVER, Item.TAG, Item.PORT))
    assert (Outcome.LEASED, True, {}) == (answer.outcome, answer.lease is not None, server.tiny.leases)
    await _ask(server, keep=True)
    assert 1 == len(server.tiny.leases)


async def test_static_address(autojump_clock: MockClock) -> None:
    """A device with an address asks for options only."""
    answer = await _ask(MemoryServer(TinyServer(options=OPTIONS)), replace(QUESTION, static=IPv4Address("192.0.2.9")))

    assert (Outcome.INFORMED, None) == (answer.outcome, answer.lease)
    assert answer.view is not None
    assert answer.view.exclusive


async def test_no_answer(autojump_clock: MockClock) -> None:
    """Nobody offered, or everybody refused: there is no view, and a reason."""
    nobody = await _ask(MemoryServer(pool=0), replace(QUESTION, patience=5))
    refused = await _ask(MemoryServer(TinyServer(refuses=True)), replace(QUESTION, patience=5))

    assert (Outcome.NOBODY_OFFERED, None, ()) == (nobody.outcome, nobody.view, nobody.options)
    assert (Outcome.REFUSED, "not here") == (refused.outcome, refused.refusals[0])
