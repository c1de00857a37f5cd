# SPDX-License-Identifier: Apache-2.0
"""A look at the backend: the policy before a packet, then its name, and nothing when it has none."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
import trio

from tests.runtime.test_net_trio import resolve_to
from tests.support.lab import open_lab
from umslab.fleet.probing import Checked, check_target, probe
from umslab.fleet.proving import NotProvedError
from umslab_protocol.values.host_port import HostPort
from umslab_runtime.net_fleet import FleetNetwork
from umslab_runtime.policy import LOOPBACK_ONLY, TargetPolicy, TargetRefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


async def _unwilling(_: HostPort) -> None:
    raise NotProvedError("it does not want to")


async def _check(
    target: HostPort,
    policy: TargetPolicy,
    *,
    devices: int,
    busiest: int,
    prove: Callable[[HostPort], Awaitable[None]] = _unwilling,
) -> Checked:
    network = FleetNetwork(policy)
    return await check_target(network, target, policy, devices=devices, busiest=busiest, prove=prove)


async def test_our_server_names_itself(tmp_path: Path) -> None:
    """Product and version from its `Server` header; it repeats the ids of requests."""
    async with open_lab(tmp_path, real=True) as lab:
        backend, repeats = await probe(FleetNetwork(LOOPBACK_ONLY), lab.target, proxied=True)

    assert ("umslab", True, True) == (backend.product, backend.proxied, repeats)
    assert backend.version
    assert backend.simulated


@pytest.mark.parametrize("answer", [b"", b"\xff" * 100, b"HTTP/1.1 200 OK\r\n\r\n"], ids=["nothing", "noise", "plain"])
async def test_what_is_no_server_has_no_name(answer: bytes) -> None:
    """No error: the devices will meet it."""
    network = FleetNetwork(LOOPBACK_ONLY)
    listener = await network.listen("127.0.0.1", 0)

    async def serve() -> None:
        transport = await listener.accept()
        await transport.send_all(answer)
        transport.abort()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        backend, repeats = await probe(network, HostPort("127.0.0.1", listener.address.port), proxied=False)
    listener.close()

    assert ("", False) == (backend.product, repeats)


async def test_the_policy_comes_first() -> None:
    """Loopback of any size; an owned address of a small fleet; everything else is refused."""
    owned = TargetPolicy(frozenset({ip_address("192.168.77.9")}))
    local, there = HostPort("localhost", 1), HostPort("192.168.77.9", 1)

    assert Checked(local=True) == await _check(local, LOOPBACK_ONLY, devices=20_000, busiest=20_000)
    assert Checked() == await _check(there, owned, devices=100, busiest=5)
    for devices, busiest in ((101, 1), (1, 6)):
        with pytest.raises(TargetRefusedError, match=r"outside this machine: .*No proof: it does not want to"):
            await _check(there, owned, devices=devices, busiest=busiest)
    with pytest.raises(TargetRefusedError, match="--i-own"):
        await _check(there, LOOPBACK_ONLY, devices=1, busiest=1)


async def test_a_proof_lifts_the_limits_of_its_address() -> None:
    """Each address is asked; one that gives none is enough for a refusal, and none is asked without need."""
    owned = TargetPolicy(frozenset({ip_address("192.168.77.9"), ip_address("192.168.77.10")}))
    asked: list[HostPort] = []

    async def prove(there: HostPort) -> None:
        asked.append(there)
        if there.host.endswith("10"):
            raise NotProvedError("it does not want to")

    there = HostPort("192.168.77.9", 1)
    proved = await _check(there, owned, devices=20_000, busiest=1000, prove=prove)
    resolve_to("192.168.77.9", "192.168.77.10")
    with pytest.raises(TargetRefusedError, match=r"192\.168\.77\.10 is outside"):
        await _check(HostPort("both.lab", 1), owned, devices=101, busiest=1, prove=prove)
    few = await _check(HostPort("both.lab", 1), owned, devices=3, busiest=1, prove=prove)

    assert (Checked(proved=("192.168.77.9",)), Checked()) == (proved, few)
    assert [there, there, HostPort("192.168.77.10", 1)] == asked


async def test_every_address_of_a_name_counts() -> None:
    """One that may not be called is enough; a name without an address is for the devices to meet."""
    resolve_to("127.0.0.1", "8.8.8.8")
    with pytest.raises(TargetRefusedError, match="public"):
        await _check(HostPort("mixed.lab", 1), LOOPBACK_ONLY, devices=1, busiest=1)
    resolve_to()

    assert Checked() == await _check(HostPort("gone.invalid", 1), LOOPBACK_ONLY, devices=1, busiest=1)
