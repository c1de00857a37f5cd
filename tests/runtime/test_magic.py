# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.magic."""

from __future__ import annotations

import trio

from umslab_protocol.values.unit_id import MacAddress
from umslab_protocol.wire.magic_packet import woken_by
from umslab_runtime.magic import LOOPBACK_EVERYBODY, everybody, send_magic_packets
from umslab_runtime.net_trio import TrioNetwork

from .carriers import PATIENCE

MAC = MacAddress("020000000001")


async def test_each_address_gets_one_packet_and_refusals_are_told() -> None:
    """Sent where that is allowed; a broadcast that stays on this machine needs nothing special."""
    network = TrioNetwork()
    sleeper = await network.udp("0.0.0.0", 0, interface="lo")
    addresses = [LOOPBACK_EVERYBODY, "127.3.0.7", "127.3.0.7", "10.0.0.255", "255.255.255.255"]
    sent = await send_magic_packets(network, MAC, addresses, host="127.0.0.1", port=sleeper.address.port)
    with trio.fail_after(PATIENCE):
        received = [await sleeper.receive() for _ in range(2)]
    sleeper.close()

    assert [MAC, MAC] == [woken_by(one.payload) for one in received]
    assert [LOOPBACK_EVERYBODY, "127.3.0.7"] == sent.to
    assert {"10.0.0.255", "255.255.255.255"} == set(sent.failed)


def test_who_everybody_is() -> None:
    """On loopback all of it, else all on the link."""
    assert ("127.255.255.255", "255.255.255.255") == (everybody("127.0.0.1"), everybody("0.0.0.0"))
