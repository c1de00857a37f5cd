# SPDX-License-Identifier: Apache-2.0
"""Any datagrams while clients ask, hold and renew: every client gets an outcome, and the runner never fails."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol.machines.dhcp_server import OS12, TinyServer
from umslab_protocol.machines.dhcp_requests import igel_identity
from umslab_protocol.values.unit_id import MacAddress
from umslab_protocol.wire.dhcp import DhcpMessage, MessageType, Op, read_message, write_message
from umslab_protocol.wire.dhcp_options import Option
from umslab_runtime.clock import VirtualClock
from umslab_runtime.dhcp_door import DhcpDoor
from umslab_runtime.dhcp_runner import DhcpRunner, open_runner

if TYPE_CHECKING:
    from umslab_protocol.machines.dhcp_requests import Datagram

MACS = [MacAddress(f"02{number:010X}") for number in range(3)]
CLOCK = VirtualClock(datetime(2026, 11, 22, tzinfo=UTC))
options = st.builds(Option, st.integers(1, 254).filter(lambda code: code not in {52, 53}), st.binary(max_size=12))
replies = st.tuples(
    st.sampled_from(MessageType),
    st.lists(options, max_size=3, unique_by=lambda option: option.code),
    st.sampled_from(["good", "odd", "stranger"]),
)
plans = st.lists(st.binary(max_size=60) | replies, max_size=25)


class OddDoor(DhcpDoor):
    """Answers each datagram by the next step of a plan, in the end with nothing."""

    def __init__(self, plan: list[object]) -> None:
        self._plan = plan
        self._put, self._get = trio.open_memory_channel[bytes](1_000)
        self._tiny = TinyServer(lease_seconds=100)
        self.claimed: set[IPv4Address] = set()

    def send(self, datagram: Datagram, mac: bytes) -> bool:
        """Answer at once."""
        step = self._plan.pop() if self._plan else b""
        asked = read_message(datagram.payload)
        if isinstance(step, bytes):
            self._put.send_nowait(step)
        elif isinstance(step, tuple):
            kind, more, how = step
            chaddr = b"\2\xff\xff\xff\xff\xff" if how == "stranger" else mac
            chosen = (Option(53, bytes((kind,))), *more)
            reply = DhcpMessage(op=Op.REPLY, xid=asked.xid, chaddr=chaddr, options=chosen)
            good = self._tiny.reply(asked, kind, IPv4Address("192.0.2.50"))
            self._put.send_nowait(good if how == "good" else write_message(reply))
        return bool(step)

    async def receive(self) -> list[bytes]:
        """The next answer."""
        return [await self._get.receive()]

    def close(self) -> None:
        """Close."""
        self._put.close()
        self._get.close()

    def claim(self, address: IPv4Address, mac: bytes) -> None:
        """Remember it."""
        del mac
        self.claimed.add(address)

    def leave(self, address: IPv4Address) -> None:
        """Forget it."""
        self.claimed.discard(address)


@settings(deadline=None, max_examples=100)
@given(plans, st.integers(0, 100))
def test_the_runner_survives(plan: list[object], seed: int) -> None:
    """Lease with three, hold for two minutes, drop one, give back: nothing is left, and everything was counted."""
    door = OddDoor(plan)

    async def live() -> DhcpRunner:
        async with open_runner(door, CLOCK, chance=random.Random(seed).random) as runner:
            seats = [runner.add(igel_identity(mac, OS12)) for mac in MACS]
            await runner.lease(seats[:2], patience=40)
            await runner.inform({seats[2]: IPv4Address("192.0.2.9")}, patience=20)
            await trio.sleep(130)
            runner.drop(seats[0], release=False)
            await runner.release()

            assert all(seat.outcome is not None for seat in seats)
            assert 3 == runner.outcomes.total()
        return runner

    runner = trio.run(live, clock=trio.testing.MockClock(autojump_threshold=0))

    assert runner.failure is None
    assert bytes.fromhex(MACS[0]) not in runner.seats
    assert set() == door.claimed
