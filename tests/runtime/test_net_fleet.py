# SPDX-License-Identifier: Apache-2.0
"""A fleet's network looks names up once, prefers what answers, calls from where it is told, and obeys the policy."""

from __future__ import annotations

import pytest

from tests.runtime.test_net_trio import has_ipv6, resolve_to
from umslab_protocol.values.host_port import HostPort
from umslab_runtime.net_fleet import FleetNetwork
from umslab_runtime.network import DialError, DialProblem
from umslab_runtime.policy import LOOPBACK_ONLY, TargetRefusedError


async def test_a_name_is_looked_up_once() -> None:
    """The resolver is asked the first time only."""
    network = FleetNetwork(LOOPBACK_ONLY)
    resolve_to("127.0.0.5")
    assert ["127.0.0.5"] == list(await network.resolve("ums.lab"))
    resolve_to("127.0.0.6")

    assert ["127.0.0.5"] == list(await network.resolve("ums.lab"))
    assert ["127.0.0.5"] == list(await network.calling_from("127.0.0.9").resolve("ums.lab"))


async def test_what_answered_comes_first() -> None:
    """After one refused connect, nobody meets it again."""
    network = FleetNetwork(LOOPBACK_ONLY)
    listener = await network.listen("127.0.0.7", 0)
    resolve_to("127.0.0.6", "127.0.0.7")

    (await network.dial(HostPort("ums.lab", listener.address.port))).abort()

    assert ["127.0.0.7", "127.0.0.6"] == list(await network.resolve("ums.lab"))
    listener.close()


async def test_calls_come_from_the_source() -> None:
    """The other side sees it; IPv6 addresses of the name are left alone."""
    network = FleetNetwork(LOOPBACK_ONLY)
    listener = await network.listen("127.0.0.1", 0)
    resolve_to("::1", "127.0.0.1")
    dialled = await network.calling_from("127.0.3.4").dial(HostPort("ums.lab", listener.address.port))
    accepted = await listener.accept()

    assert "127.0.3.4" == accepted.peer.host
    dialled.abort()
    accepted.abort()
    listener.close()


async def test_a_source_that_is_not_ours_is_named() -> None:
    """What cannot be called from is told, not taken for the target's fault."""
    network = FleetNetwork(LOOPBACK_ONLY).calling_from("192.0.2.1")

    with pytest.raises(DialError) as caught:
        await network.dial(HostPort("127.0.0.1", 1))

    assert DialProblem.OWN_LIMIT is caught.value.problem


async def test_the_policy_is_asked_at_every_dial() -> None:
    """What was looked up before is judged all the same."""
    network = FleetNetwork(LOOPBACK_ONLY)
    resolve_to("192.168.77.9")
    for _ in range(2):
        with pytest.raises(TargetRefusedError):
            await network.dial(HostPort("neighbour.lab", 1))


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
async def test_ipv6_without_a_source() -> None:
    """Both families are called."""
    network = FleetNetwork(LOOPBACK_ONLY)
    listener = await network.listen("::1", 0)

    (await network.dial(HostPort("::1", listener.address.port))).abort()

    listener.close()
