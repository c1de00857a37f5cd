# SPDX-License-Identifier: Apache-2.0
"""Whom a device asks, in which order, and when it gives up its registration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from tests.agent.desk import PORT, UNKNOWN, Desk, open_desk
from umslab_agent import parameters
from umslab_agent.behaviour import DeviceBehaviour
from umslab_agent.connecting import sum_up
from umslab_agent.happenings import Kind
from umslab_protocol.machines.device_life import State
from umslab_protocol.machines.retrying import RetryPolicy
from umslab_protocol.values.failure import Failure, Phase, Reason
from umslab_protocol.values.firmware import FirmwareVersion
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.messages import Connectors
from umslab_protocol.wire.orders import Connector, ConnectorType
from umslab_runtime.http import text_response

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from tests.support.lab import LabDevice

HOSTS = ("ums.lab", "two.lab", "icg.lab")
ALL = [
    Connector(type=ConnectorType.UMS, host="ums.lab", port=PORT),
    Connector(type=ConnectorType.UMS, host="two.lab", port=PORT),
    Connector(type=ConnectorType.ICG, host="icg.lab", port=PORT),
]
HOURLY = RetryPolicy(first=3_600, most=3_600, jitter=0.0)


async def _with_connectors(
    desk: Desk, connectors: list[Connector], *, settings: dict[str, str] | None = None, **details: object
) -> LabDevice:
    if settings:
        desk.settings(1, settings)
    device = desk.device(**details)  # type: ignore[arg-type]
    await device.until_managed()
    session = await desk.session()
    await session.order(lambda number: Connectors(id=number, digest="c", connectors=connectors))
    if settings:
        await device.until_happening("applied")
    return device


async def _hosts_after(desk: Desk, rounds: int) -> list[str]:
    for number in range(1, rounds + 1):
        session = await desk.session(number)
        await trio.sleep(100)
        session.pump.close(CloseCode.GOING_AWAY, "again")
    await desk.session(rounds + 1)
    return [session.host for session in desk.sessions[1:]]


async def test_the_default_order_is_random(tmp_path: Path, autojump_clock: MockClock) -> None:
    """W7: without a preference every connector gets its share."""
    async with open_desk(tmp_path, hosts=HOSTS) as desk:
        await _with_connectors(desk, ALL)
        hosts = await _hosts_after(desk, 40)

        assert all(5 <= hosts.count(host) <= 25 for host in HOSTS)


@pytest.mark.parametrize(("ranking", "hosts"), [("icg", {"icg.lab"}), ("prefer ums", {"ums.lab", "two.lab"})])
async def test_a_preference(tmp_path: Path, autojump_clock: MockClock, ranking: str, hosts: set[str]) -> None:
    """The preferred type first, in random order among themselves."""
    async with open_desk(tmp_path, hosts=HOSTS) as desk:
        settings = {"system.remotemanager.connectorranking": ranking}
        await _with_connectors(desk, ALL, settings=settings)

        assert hosts == set(await _hosts_after(desk, 12))


async def test_the_next_one_is_asked(tmp_path: Path, autojump_clock: MockClock) -> None:
    """W6: one that refuses is passed over; no wait, no failure."""
    async with open_desk(tmp_path, hosts=HOSTS) as desk:
        device = await _with_connectors(desk, ALL)
        desk.refusals = {"ums.lab": UNKNOWN, "two.lab": text_response(503, "busy")}
        device.changes.clear()
        hosts = await _hosts_after(desk, 5)

        assert {"icg.lab"} == set(hosts)
        assert all(change.failure is None or change.failure.phase is Phase.SESSION for change in device.changes)


@pytest.mark.parametrize(("firmware", "back"), [("12.6.0", True), ("12.5.9", False)])
async def test_the_last_addresses(tmp_path: Path, autojump_clock: MockClock, firmware: str, back: bool) -> None:  # noqa: FBT001
    """W8: when no connector of the list answers, where it was let in lately is asked, since 12.6.0."""
    async with open_desk(tmp_path, hosts=("ums.lab",)) as desk:
        wrong = [Connector(host="nowhere.lab", port=PORT)]
        device = await _with_connectors(desk, wrong, firmware=FirmwareVersion.parse(firmware))
        session = await desk.session()
        session.pump.close(CloseCode.GOING_AWAY, "again")
        await trio.sleep(4_000)

        assert back == (len(desk.sessions) > 1)
        assert back == device.folder.reached.exists()


async def test_igelrmserver_is_a_fallback_when_switched_on(tmp_path: Path, autojump_clock: MockClock) -> None:
    """W9: off by default."""
    async with open_desk(tmp_path, hosts=("ums.lab", "igelrmserver")) as desk:
        settings = {"system.remotemanager.igelrmserver.as_fallback": "true"}
        await _with_connectors(desk, [], settings=settings)
        desk.refusals = {"ums.lab": text_response(503, "busy")}
        session = await desk.session()
        session.pump.close(CloseCode.GOING_AWAY, "again")

        assert "igelrmserver" == (await desk.session(2)).host


async def test_release_needs_the_delay(tmp_path: Path, autojump_clock: MockClock) -> None:
    """L5: a day of "unknown", over a restart; then the log names who was asked and what they said (L6)."""
    async with open_desk(tmp_path, hosts=HOSTS) as desk:
        device = await _with_connectors(desk, ALL, policy=HOURLY)
        desk.refusals = {"ums.lab": UNKNOWN, "two.lab": text_response(503, "busy"), "icg.lab": UNKNOWN}
        (await desk.session()).pump.close(CloseCode.GOING_AWAY, "again")
        await device.until(lambda change: change.failure is not None and change.failure.reason is Reason.UNKNOWN_DEVICE)
        began = trio.current_time()
        await trio.sleep(50_000)
        device.power_off()
        await device.over.wait()
        again = desk.device(policy=HOURLY)
        await again.over.wait()

        assert State.RELEASED is again.ended
        assert 86_400 <= trio.current_time() - began <= 86_400 + 3_700
        (log,) = again.folder.path.glob("self-release-*.log")
        text = log.read_text()
        assert all(f"{host}:{PORT}" in text for host in HOSTS)
        assert ("unknown-device" in text, "busy" in text) == (True, True)
        assert not again.folder.connectors.exists()


async def test_an_accepted_session_begins_the_delay_anew(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Being let in between resets it; being unreachable does not."""
    async with open_desk(tmp_path) as desk:
        device = desk.device(policy=HOURLY)
        await device.until_managed()
        desk.refusals = {"ums.lab": UNKNOWN}
        (await desk.session()).pump.close(CloseCode.GOING_AWAY, "again")
        await trio.sleep(80_000)
        desk.refusals = {}
        second = await desk.session(2)
        await trio.sleep(1)
        assert not device.folder.unknown.exists()
        desk.refusals = {"ums.lab": UNKNOWN}
        second.pump.close(CloseCode.GOING_AWAY, "again")
        await trio.sleep(40_000)
        desk.network.partition("ums.lab", "devices")
        await trio.sleep(40_000)
        assert device.ended is None
        desk.network.heal("ums.lab", "devices")
        await trio.sleep(15_000)
        assert State.RELEASED is device.ended


@pytest.mark.parametrize("wanted", ["true", "false"])
async def test_the_user_is_told_of_a_release(tmp_path: Path, autojump_clock: MockClock, wanted: str) -> None:
    """L6: when the settings say so, once, naming the unit ID; it can be inspected when the server is forgotten."""
    async with open_desk(tmp_path) as desk:
        desk.settings(1, {parameters.RELEASE: "600", parameters.NOTIFY_USER: wanted})
        device = desk.device()
        await device.until_happening("applied")
        desk.refusals = {"ums.lab": UNKNOWN}
        (await desk.session()).pump.close(CloseCode.GOING_AWAY, "again")
        await device.over.wait()
        told = [one.text for one in device.folder.inbox.load().messages]

        assert State.RELEASED is device.ended
        assert (wanted == "true") == bool(told)
        assert all(device.device.persona.unit_id in text for text in told)
        assert len(told) == sum(one.kind is Kind.MESSAGE for one in device.happenings)


async def test_the_delay_is_a_setting(tmp_path: Path, autojump_clock: MockClock) -> None:
    """`system.remotemanager.release_delay` in seconds."""
    async with open_desk(tmp_path) as desk:
        desk.settings(1, {"system.remotemanager.release_delay": "600"})
        device = desk.device()
        await device.until_happening("applied")
        desk.refusals = {"ums.lab": UNKNOWN}
        (await desk.session()).pump.close(CloseCode.GOING_AWAY, "again")
        began = trio.current_time()
        await device.over.wait()

        assert 600 <= trio.current_time() - began < 1_000


async def test_older_firmware_gives_up_at_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Before 12.8.4."""
    async with open_desk(tmp_path) as desk:
        device = desk.device(firmware=FirmwareVersion(12, 8, 3))
        await device.until_managed()
        desk.refusals = {"ums.lab": UNKNOWN}
        (await desk.session()).pump.close(CloseCode.GOING_AWAY, "again")
        began = trio.current_time()
        await device.over.wait()

        assert State.RELEASED is device.ended
        assert trio.current_time() - began < 10


async def test_the_connect_timeout_is_a_setting(tmp_path: Path, autojump_clock: MockClock) -> None:
    """W10: 45 seconds by default, another number of seconds from 12.5.1 on."""
    async with open_desk(tmp_path) as desk:
        desk.settings(1, {"system.remotemanager.connect_timeout": "7"})
        device = desk.device()
        await device.until_happening("applied")
        desk.network.partition("ums.lab", "devices")
        device.power_off()
        await device.over.wait()
        again = desk.device()
        change = await again.until_state(State.WAITING)

        assert change.failure is not None
        assert "7 seconds" in change.failure.detail


async def test_a_wrong_calendar_refuses_the_servers_certificate(tmp_path: Path, autojump_clock: MockClock) -> None:
    """SE7: a device whose clock has gone wrong since it came on board."""
    async with open_desk(tmp_path) as desk:
        device = desk.device()
        await device.until_managed()
        device.power_off()
        await device.over.wait()
        wrong = desk.device(behaviour=DeviceBehaviour(clock_skew_seconds=-86_400))
        change = await wrong.until_state(State.WAITING)

        assert change.failure is not None
        assert (Reason.CERTIFICATE_TIME, 46) == (change.failure.reason, change.failure.vendor_code)


def test_what_a_round_comes_to() -> None:
    """Unknown before everything; then what a reachable one said; the shortest wait asked for."""
    one, two = HostPort("one", 1), HostPort("two", 2)
    away = Failure(Phase.CONNECT, Reason.UNREACHABLE, "no route")
    busy = Failure(Phase.CONNECT, Reason.BUSY, "HTTP 503", retry_after=9.0)
    unknown = Failure(Phase.CONNECT, Reason.UNKNOWN_DEVICE, "HTTP 410")

    assert away is sum_up([(one, away)])
    assert Reason.BUSY is sum_up([(one, away), (two, busy)]).reason
    assert Reason.UNKNOWN_DEVICE is sum_up([(one, busy), (two, unknown)]).reason
    assert 9.0 == sum_up([(one, busy), (two, unknown)]).retry_after
    assert "one:1: no route; two:2: HTTP 503" == sum_up([(one, away), (two, busy)]).detail
