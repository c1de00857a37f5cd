# SPDX-License-Identifier: Apache-2.0
"""Reports are told once they are due, and again until they are acknowledged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from tests.agent.desk import open_desk
from umslab_agent.behaviour import DeviceBehaviour
from umslab_agent.kept import Installed
from umslab_agent.reports import MOST_EVENTS, Reports, Topic
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.inventory import AppState, InstallState
from umslab_protocol.wire.messages import PushAppStatus, PushLogonEvents

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

APP = AppState(name="browser", version="1", state=InstallState.INSTALLED)


async def test_an_acknowledgement_counts_for_what_it_acknowledged(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A change after the report is not acknowledged with it, whatever happens to the session in between."""
    async with open_desk(tmp_path) as desk:
        device = desk.device()
        await device.until_managed()
        device.folder.installed.save(Installed(apps=[APP]))
        reports = Reports(device.device._unit)
        reports.begin_boot(Installed(apps=[APP]))
        ((first, first_done),) = reports.due()
        assert [] == reports.due()
        reports.changed(Topic.APPS)
        ((_, second_done),) = reports.due()
        first_done()
        reports.begin_session()
        assert 1 == len(reports.due())
        second_done()
        reports.begin_session()

        assert isinstance(first(1), PushAppStatus)
        assert [] == reports.due()


async def test_a_device_without_apps_says_nothing_about_them(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A boot of one that has none is no news."""
    async with open_desk(tmp_path) as desk:
        device = desk.device()
        await device.until_managed()
        reports = Reports(device.device._unit)
        reports.begin_boot(Installed())

        assert [] == reports.due()
        assert None is reports.next_at()


async def test_a_long_absence_is_told_in_one_message(tmp_path: Path, autojump_clock: MockClock) -> None:
    """At most 200 events, the last ones."""
    async with open_desk(tmp_path) as desk:
        desk.settings(1, {"system.remotemanager.log_authentication": "true"})
        device = desk.device(behaviour=DeviceBehaviour(log_ons_per_day=100))
        await device.until_happening("applied")
        desk.network.partition("ums.lab", "devices")
        (await desk.session()).pump.close(CloseCode.GOING_AWAY, "cable")
        await trio.sleep(20 * 86_400)
        desk.network.heal("ums.lab", "devices")
        push = await (await desk.session(2)).until_kind(PushLogonEvents)

        assert 200 == MOST_EVENTS == len(push.events)
