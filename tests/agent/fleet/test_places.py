# SPDX-License-Identifier: Apache-2.0
"""Where OS 11 devices of a fleet are found: one port for all of them, the real one where it is free."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from umslab_agent.answering import Answerer
from umslab_agent.fleet.places import open_places
from umslab_protocol.values.host_port import PUSH_PORT
from umslab_protocol.values.unit_id import MacAddress, UnitId
from umslab_protocol.wire.probes import NONCE_BYTES, read_online_answer, write_online_check
from umslab_runtime.net_memory import MemoryNetwork
from umslab_runtime.net_trio import TrioNetwork
from umslab_runtime.network import ListenError
from umslab_runtime.streams import Address

if TYPE_CHECKING:
    from trio.testing import MockClock

    from umslab_agent.nearby import Nearby

NONCE = bytes(NONCE_BYTES)


def _join(nearby: Nearby, unit_id: str) -> None:
    """What the place does when its device is awake."""
    me = UnitId(unit_id)
    nearby._answering.join(
        Answerer(unit_id=me, mac=MacAddress(me), name=me, product="", firmware="11.10.210", address=nearby._address)
    )


async def test_the_real_port_where_it_is_free(autojump_clock: MockClock) -> None:
    """TCP and UDP 30005 (P9, P10)."""
    async with open_places(MemoryNetwork().host("devices"), ["127.16.0.1", "127.16.0.2"]) as places:
        assert PUSH_PORT == places.port


@pytest.mark.parametrize("kind", ["tcp", "udp"])
async def test_any_other_port_where_it_is_not(autojump_clock: MockClock, kind: str) -> None:
    """Another program has it, for TCP or for UDP: then both are at another port, and what was opened is closed."""
    host = MemoryNetwork().host("devices")
    taken = await (host.listen("", PUSH_PORT) if kind == "tcp" else host.udp("", PUSH_PORT))
    async with open_places(host, ["127.16.0.1"]) as places:
        other = places.port
    taken.close()
    async with open_places(host, ["127.16.0.1"]) as again:
        assert PUSH_PORT == again.port

    assert other not in {0, PUSH_PORT}


async def test_each_answers_at_its_own_address() -> None:
    """On loopback one endpoint has all addresses; who is asked at another one's says nothing."""
    network = TrioNetwork()
    asker = await network.udp("127.0.0.1", 0)
    ones = {"02AABBCCDD01": "127.16.9.1", "02AABBCCDD02": "127.16.9.2"}
    async with open_places(network, list(ones.values())) as places:
        for unit_id, address in ones.items():
            _join(places.nearby(address), unit_id)
        asker.send_to(write_online_check(UnitId("02AABBCCDD01"), NONCE, 0), Address("127.16.9.2", places.port))
        asker.send_to(write_online_check(UnitId("02AABBCCDD02"), NONCE, 0), Address("127.16.9.2", places.port))
        with trio.fail_after(30):
            answer = await asker.receive()
    asker.close()

    assert ("127.16.9.2", "02AABBCCDD02") == (answer.source.host, read_online_answer(answer.payload).unit_id)


async def test_addresses_that_are_not_here(autojump_clock: MockClock) -> None:
    """The error names the address."""
    with pytest.raises(ListenError, match=r"192\.0\.2\.7"):
        async with open_places(TrioNetwork(), ["192.0.2.7"]):
            raise AssertionError("it was opened")


async def test_a_device_outside_loopback_has_an_endpoint_of_its_own(autojump_clock: MockClock) -> None:
    """Nobody listens on more than was named: here on the one host of the memory network, so one address fits."""
    host = MemoryNetwork().host("10.9.8.7")
    async with open_places(host, ["10.9.8.7"]) as places:
        _join(places.nearby("10.9.8.7"), "02AABBCCDD01")
        asker = await MemoryNetwork.host(host._network, "ums").udp("", 0)
        asker.send_to(write_online_check(UnitId("02AABBCCDD01"), NONCE, 0), Address("10.9.8.7", places.port))

        assert UnitId("02AABBCCDD01") == read_online_answer((await asker.receive()).payload).unit_id
