# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_agent.scan_source; whole stories are in tests/integration/test_scan_registration.py."""

from __future__ import annotations

from dataclasses import replace

import trio
from trio.testing import wait_all_tasks_blocked

from umslab_agent.discovery import Absent, Found
from umslab_agent.scan_source import ScanSource
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.values.unit_id import UnitId
from umslab_protocol.wire.probes import RegisterOrder

ORDER = RegisterOrder(nonce=bytes(16), unit_id=UnitId("020000000001"), web_port=9443, os11_port=0, token=b"\xff" * 32)


async def _ordered(source: ScanSource, *, os11: bool) -> Found | Absent:
    """What the source says when the order comes while it waits."""
    said: list[Found | Absent] = []

    async def find() -> None:
        said.append(await source.find(os11=os11))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(find)
        await wait_all_tasks_blocked()
        assert source.take(ORDER, "127.0.0.5")
    return said[0]


async def test_taken_while_it_waits() -> None:
    """The address is where the order came from, the token is a text without padding."""
    source = ScanSource()
    found = await _ordered(source, os11=False)

    assert isinstance(found, Found)
    assert (HostPort("127.0.0.5", 9443),) == found.targets
    assert "_" * 42 + "8" == found.token()


async def test_ordered_again_on_the_way() -> None:
    """The same UMS may renew its order, and what is tried again uses the newest; nobody else can turn the device."""
    source = ScanSource()
    found = await _ordered(source, os11=False)
    assert isinstance(found, Found)

    assert source.take(replace(ORDER, token=bytes(32)), "127.0.0.5")
    assert "A" * 43 == found.token()
    assert not source.take(ORDER, "127.0.0.6")
    again = await source.find(os11=False)
    assert isinstance(again, Found)
    assert found.targets == again.targets


async def test_forgotten() -> None:
    """A device that is registered, or off, has no order: it obeys nobody, and waits anew when it has to."""
    source = ScanSource()
    found = await _ordered(source, os11=False)
    source.forget()

    assert isinstance(found, Found)
    assert "" == found.token()
    assert not source.take(ORDER, "127.0.0.5")
    assert isinstance(await _ordered(source, os11=False), Found)


async def test_not_before_it_waits_nor_after() -> None:
    """Nobody makes a device come that does not wait for it, also when the wait was given up."""
    source = ScanSource()
    assert not source.take(ORDER, "127.0.0.5")
    with trio.CancelScope() as scope:
        scope.cancel()
        await source.find(os11=False)

    assert not source.take(ORDER, "127.0.0.5")


async def test_a_server_without_the_generation() -> None:
    """Port 0: it says that this server takes no such devices, and waits for another."""
    source = ScanSource()
    said = await _ordered(source, os11=True)

    assert not source.take(ORDER, "127.0.0.5")
    assert isinstance(said, Absent)
    assert "takes no OS 11 devices" in said.text
