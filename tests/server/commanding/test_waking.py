# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.commanding.waking: where magic packets go, and what the result says."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.server.parts import unit_id
from umslab_protocol.wire.magic_packet import WAKE_PORT, woken_by
from umslab_protocol.wire.orders import CommandName, ResultState
from umslab_runtime.net_memory import MemoryNetwork
from umslab_runtime.net_trio import TrioNetwork
from umslab_server.commanding.selectors import Selector
from umslab_server.commanding.waking import Waker
from umslab_server.config import WakeConfig
from umslab_server.reach import Reach

from .workshop import Robot, open_workshop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from trio.testing import MockClock

    from umslab_runtime.network import Network
    from umslab_runtime.udp import UdpEndpoint

    from .workshop import Workshop

PLACES = ("127.255.255.255", "192.0.2.7", "10.1.255.255")


def _waker(workshop: Workshop, network: Network, **config: Any) -> Waker:
    office = workshop.office
    return Waker(office.store, Reach(office.presence), network, config=WakeConfig(**config), reply_host="127.0.0.1")


@asynccontextmanager
async def _asleep(path: Path) -> AsyncIterator[tuple[Workshop, MemoryNetwork, UdpEndpoint]]:
    """Device 1, which sleeps at 192.0.2.7, and an endpoint that hears all places of the tests."""
    network = MemoryNetwork()
    link = await network.host("link", *PLACES).udp("", WAKE_PORT)
    async with open_workshop(path) as workshop:
        await workshop.add(1)
        yield workshop, network, link


def _heard(link: UdpEndpoint) -> list[str]:
    received = link.receive_nowait(99)
    assert {unit_id(1)} >= {woken_by(one.payload) for one in received}
    return [one.destination for one in received]


@pytest.mark.parametrize(
    ("config", "places"),
    [
        ({}, PLACES[:2]),
        ({"broadcast": False}, PLACES[1:2]),
        ({"last_address": False}, PLACES[:1]),
        ({"subnets": ["10.1.0.0/16"]}, PLACES),
    ],
)
async def test_where_packets_go(
    config: dict[str, Any], places: tuple[str, ...], tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Broadcast and last address by default, subnets on top (WL2)."""
    async with _asleep(tmp_path) as (workshop, network, link):
        state, message = await _waker(workshop, network.host("ums"), **config).wake(unit_id(1), unit_id(1), "ID-1")
        await trio.sleep(1)

        assert list(places) == _heard(link)
        assert (ResultState.SUCCESS, f"magic packets sent: {', '.join(places)}") == (state, message)


async def test_success_for_a_device_that_never_had_an_address(tmp_path: Path, autojump_clock: MockClock) -> None:
    """WL5: it only says that packets were sent."""
    async with _asleep(tmp_path) as (workshop, network, link):
        await workshop.set(1, last_ip="")
        state, _ = await _waker(workshop, network.host("ums")).wake(unit_id(1), unit_id(1), "ID-1")

        assert state is ResultState.SUCCESS
        assert ["127.255.255.255"] == _heard(link)


async def test_a_mac_that_could_be_real_is_not_woken(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Nothing is sent."""
    async with _asleep(tmp_path) as (workshop, network, link):
        state, message = await _waker(workshop, network.host("ums")).wake(unit_id(1), "00E0C5000001", "ID-1")

        assert state is ResultState.FAILED
        assert "could belong to a real machine" in message
        assert [] == _heard(link)


async def test_when_nothing_was_sent_that_is_a_failure(tmp_path: Path) -> None:
    """Refused addresses with their reasons; a configuration that names no place."""
    async with open_workshop(tmp_path) as workshop:
        await workshop.add(1, address="8.8.8.8")
        waker = _waker(workshop, TrioNetwork(), broadcast=False)
        state, message = await waker.wake(unit_id(1), unit_id(1), "ID-1")

        assert state is ResultState.FAILED
        assert "public address" in message
        waker = _waker(workshop, TrioNetwork(), broadcast=False, last_address=False)
        state, message = await waker.wake(unit_id(1), unit_id(1), "ID-1")
        assert (ResultState.FAILED, True) == (state, "wake_on_lan" in message)


@pytest.mark.parametrize(
    ("config", "firmware", "address", "asked"),
    [
        ({"proxies": [unit_id(2)]}, "12.6.0", "10.9.9.9", True),
        ({"proxies": [unit_id(2)]}, "12.5.9", "10.9.9.9", False),
        ({"proxies": [unit_id(2)]}, "11.10.210", "10.9.9.9", True),
        ({"proxies": [unit_id(3)]}, "12.6.0", "192.0.2.9", False),
        ({"automatic_proxies": True}, "12.6.0", "192.0.2.9", True),
        ({"automatic_proxies": True}, "12.6.0", "192.0.3.9", False),
        ({"automatic_proxies": True}, "", "192.0.2.9", False),
        ({}, "12.6.0", "192.0.2.9", False),
    ],
)
async def test_proxies(
    config: dict[str, Any], firmware: str, address: str, *, asked: bool, tmp_path: Path, autojump_clock: MockClock
) -> None:
    """A connected device that can (WL4), because it was named or is a neighbour, sends a packet on its link."""
    async with _asleep(tmp_path) as (workshop, network, _):
        await workshop.add(2, address=address)
        await workshop.set(2, firmware=firmware)
        robot = Robot(2)
        await workshop.come(robot)
        _, message = await _waker(workshop, network.host("ums"), **config).wake(unit_id(1), unit_id(1), "ID-1")

        assert asked == (f"proxy {unit_id(2)}" in message)
        orders = [(one.command, one.execID, one.parameters) for one in robot.heard]
        order = (CommandName.WAKE_UP, f"ID-1-{unit_id(1)}", {"mac": unit_id(1), "port": "9"})
        assert ([order] if asked else []) == orders


async def test_command_wakes_devices_that_are_away(tmp_path: Path, autojump_clock: MockClock) -> None:
    """As any command: an execution with one result a device, also for a device that is online."""
    async with _asleep(tmp_path) as (workshop, network, link):
        workshop.commands._reach.wake = _waker(workshop, network.host("ums")).wake
        exec_id = await workshop.commands.start(CommandName.WAKE_UP, Selector(everyone=True), actor="test")
        await trio.sleep(1)
        _, (task,) = await workshop.commands.results(exec_id)

        assert ("SUCCESS", True) == (task.state, task.message.startswith("magic packets sent"))
        assert 2 == len(_heard(link))
