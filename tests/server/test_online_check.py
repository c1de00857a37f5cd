# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.online_check: each change of state, with its time from the configured timeouts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from sqlalchemy.exc import OperationalError

from tests.server.parts import unit_id
from umslab_server import registry
from umslab_server.commanding.views import Criteria, Views
from umslab_server.errors import RefusedError
from umslab_server.online_check import SweepProgress
from umslab_server.why import Why

from .neighbourhood import open_neighbourhood

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from umslab_server.store import Writer

    from .neighbourhood import Neighbourhood

SOON = 0.001


async def _until(moment: float) -> None:
    await trio.sleep_until(moment)
    await trio.testing.wait_all_tasks_blocked()


async def test_states_change_when_the_timeouts_say_so(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Answered: online at once. Silent: offline the timeout after the next probe. Events only for changes."""
    async with open_neighbourhood(tmp_path, timeout_seconds=0.5, interval_seconds=3.0) as here:
        assert await here.told() == []
        await trio.sleep(5)
        await here.add(1)
        began = trio.current_time()
        await _until(began + 0.02 + SOON)
        assert await here.state(1) == "online"
        here.silent.add(1)
        await _until(began + 3.5 - SOON)
        assert await here.state(1) == "online"
        await _until(began + 3.5 + SOON)
        assert await here.state(1) == "offline"
        here.silent.clear()
        await _until(began + 6.0 - SOON)
        assert await here.state(1) == "offline"
        await _until(began + 6.02 + SOON)
        assert await here.state(1) == "online"
        await _until(began + 100.0)
        one = unit_id(1)
        assert await here.told() == [("reachable", one), ("unreachable", one), ("reachable", one)]
        gaps = {round(later - earlier, 6) for (earlier, _), (later, _) in zip(here.asked, here.asked[1:], strict=False)}
        assert gaps == {3.0}


@pytest.mark.parametrize(("seconds", "tries"), [(0.1, 1), (10.0, 1), (1.0, 3)])
async def test_offline_after_all_tries(tmp_path: Path, seconds: float, tries: int, autojump_clock: MockClock) -> None:
    """The bounds of N2, and more than one try; a slow sweep makes the next one wait."""
    async with open_neighbourhood(tmp_path, timeout_seconds=seconds, tries=tries, interval_seconds=0.1) as here:
        here.silent.add(1)
        await trio.sleep(5)
        await here.add(1)
        began = trio.current_time()
        await _until(began + seconds * tries - SOON)
        assert await here.state(1) == "unknown"
        await _until(began + seconds * tries + SOON)
        assert await here.state(1) == "offline"


async def test_cut_link_to_one_of_many(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Only the device behind it goes offline, and comes back when the link does."""
    async with open_neighbourhood(tmp_path) as here:
        await here.add(1, 2, 3)
        await trio.sleep(3)
        here.network.partition("ums", "127.3.0.2")
        await trio.sleep(5)
        assert [await here.state(number) for number in (1, 2, 3)] == ["online", "offline", "online"]
        here.network.heal("ums", "127.3.0.2")
        await trio.sleep(5)
        assert [await here.state(number) for number in (1, 2, 3)] == ["online", "online", "online"]


async def test_answers_later_than_the_timeout_do_not_count(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Offline, with late answers in the counters."""
    async with open_neighbourhood(tmp_path, latency=0.1, timeout_seconds=0.15) as here:
        await trio.sleep(5)
        await here.add(1)
        await trio.sleep(7)
        assert await here.state(1) == "offline"
        assert here.checks.counters["late"] == 3


async def test_who_is_asked(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Registered OS 11 devices with an address, outside the bin: nobody else is ever probed (N10)."""
    async with open_neighbourhood(tmp_path) as here:
        await here.add(1)
        await here.add(2, generation="12")
        await here.add(3, last_ip="")
        await here.add(4, last_ip="::1")
        await here.add(5, registered_at=None)
        await here.add(6, binned_at="2026-01-01T00:00:00.000Z")
        await trio.sleep(10)
        assert {number for _, number in here.asked} == {1}
        states = [await here.state(number) for number in range(1, 7)]
        assert states == ["online", "offline", "unknown", "unknown", "never-registered", "in-bin"]
        assert (await here.office.registry.count())["unknown"] == 2


async def test_device_that_was_deleted_is_asked_no_more(tmp_path: Path, autojump_clock: MockClock) -> None:
    """And nothing of it is kept in memory."""
    async with open_neighbourhood(tmp_path) as here:
        await here.add(1, 2)
        await trio.sleep(4)
        await here.office.registry.purge(unit_id(1), actor="test")
        await trio.sleep(4)
        asked = len([number for _, number in here.asked if number == 1])
        await trio.sleep(30)
        assert len([number for _, number in here.asked if number == 1]) == asked
        assert list(here.checks._written) == list(here.office.presence._checked) == [unit_id(2)]


async def test_another_device_at_the_address_is_not_the_one_that_was_asked(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Addresses move; whoever has it now does not answer for the other."""
    async with open_neighbourhood(tmp_path) as here:
        await here.add(1, last_ip="127.3.0.2")
        await trio.sleep(5)
        assert await here.state(1) == "offline"


async def test_port_of_the_device_and_of_the_configuration(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A device's own port comes first; 30005 where nobody says anything."""
    async with open_neighbourhood(tmp_path, port=4711) as here:
        await here.add(1, push_port=30_005)
        await here.add(2)
        await trio.sleep(5)
        assert [await here.state(1), await here.state(2)] == ["online", "offline"]


async def test_restart_forgets_no_state_and_repeats_no_event(tmp_path: Path, autojump_clock: MockClock) -> None:
    """What is as it was is no change; before the first sweep is over the state is unknown."""
    async with open_neighbourhood(tmp_path) as here:
        here.silent.add(2)
        await here.add(1, 2)
        await trio.sleep(5)
        told = await here.told()
    async with open_neighbourhood(tmp_path) as here:
        assert await here.state(1) == "unknown"
        here.silent.add(2)
        await trio.sleep(5)
        assert [await here.state(1), await here.state(2)] == ["online", "offline"]
        assert await here.told() == told
        shown = await here.office.registry.show(unit_id(2))
        assert (shown.icon, shown.generation) == ("red", "11")
        assert shown.checked_at is not None


async def test_switched_off_nobody_is_asked_and_nothing_is_known(tmp_path: Path, autojump_clock: MockClock) -> None:
    """N1, N17."""
    async with open_neighbourhood(tmp_path, asks=False) as here:
        await here.add(1)
        await trio.sleep(60)
        assert here.asked == []
        assert (await here.office.registry.show(unit_id(1))).icon == "grey"
        await here.checks.refresh()
        with pytest.raises(RefusedError, match=r"online_check\.enabled"):
            await here.checks.report([unit_id(1)], _no_progress)
        assert here.checks.counters == {}


async def _no_progress(_: SweepProgress) -> None:
    """Nobody watches."""


async def test_nothing_wakes_up_without_os_11_devices(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Not once in a year."""
    async with open_neighbourhood(tmp_path) as here:
        await trio.sleep(1)
        begun = here.checks._begun
        await trio.sleep(365 * 86_400)
        assert here.checks._begun == begun


async def test_report_is_of_a_sweep_that_began_after_the_question(tmp_path: Path, autojump_clock: MockClock) -> None:
    """It does not wait for the interval, and says how far it is."""
    progress: list[SweepProgress] = []

    async def note(one: SweepProgress) -> None:
        await trio.lowlevel.checkpoint()
        progress.append(one)

    async with open_neighbourhood(tmp_path, interval_seconds=3600, timeout_seconds=2.0) as here:
        await here.add(1, 2)
        await here.add(3, last_ip="")
        await trio.sleep(10)
        here.silent.add(2)
        began = trio.current_time()
        report = await here.checks.report([unit_id(number) for number in (3, 2, 1)], note)
        assert trio.current_time() - began == pytest.approx(2.0)
        assert [(one.unit_id, one.state) for one in report.devices] == [
            (unit_id(1), "online"),
            (unit_id(2), "offline"),
            (unit_id(3), "unknown"),
        ]
        assert report.devices[0].milliseconds == pytest.approx(20.0)
        assert "no IPv4 address" in report.devices[2].why
        assert report.counts == {"online": 1, "offline": 1, "unknown": 1}
        assert SweepProgress(2, 1, 0) in progress


async def test_view_with_the_criterion_online_asks_first(tmp_path: Path, autojump_clock: MockClock) -> None:
    """N8: with the timeout of the online check; unknown devices are neither."""
    async with open_neighbourhood(tmp_path, interval_seconds=3600) as here:
        await here.add(1, 2)
        await here.add(3, last_ip="")
        await trio.sleep(10)
        here.silent.add(2)
        views = Views(here.office.store, here.office.presence, clock=here.office.clock, refresh=here.checks.refresh)
        began = trio.current_time()
        online = await views.search(Criteria(online=True))
        assert [one.unit_id for one in online] == [unit_id(1)]
        assert trio.current_time() - began == pytest.approx(1.0)
        assert [one.unit_id for one in await views.search(Criteria(online=False))] == [unit_id(2)]


async def test_ctl_why_says_what_the_online_check_knows(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Since when, how fast, or why nothing is known."""

    async def told(here: Neighbourhood, number: int) -> str:
        why = Why(here.office.store, here.office.presence, clock=here.office.clock)
        return "\n".join(await why.explain(unit_id(number)))

    async with open_neighbourhood(tmp_path) as here:
        here.silent.add(2)
        await here.add(1, 2)
        await here.add(3, last_ip="")
        assert "has not come to it yet" in await told(here, 1)
        await trio.sleep(5)
        assert "It is online: it answered the last online check within 20.0 ms; so it has been since" in await told(
            here, 1
        )
        assert "It is offline: it did not answer the last online check (N4); so it has been since" in await told(
            here, 2
        )
        assert "unknown: it has no IPv4 address yet." in await told(here, 3)


async def test_registry_that_cannot_be_read_ends_nothing(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The next interval tries again."""
    async with open_neighbourhood(tmp_path) as here:
        await here.add(1)
        await trio.sleep(4)
        read = here.office.store._read_connection

        class Broken:
            def execute(self, *_: object) -> None:
                raise OperationalError("select", {}, Exception("disk"))

        here.office.store._read_connection = Broken()  # type: ignore[assignment]
        here.office.store.feed.advance(here.office.store.feed.value + 1)
        await trio.sleep(7)
        here.office.store._read_connection = read
        asked = len(here.asked)
        await trio.sleep(7)
        assert len(here.asked) > asked


async def test_many_changes_are_written_in_several_transactions(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A fleet that goes silent does not wait for the whole sweep to be written."""
    async with open_neighbourhood(tmp_path) as here:

        def many(writer: Writer) -> None:
            for number in range(100, 1300):
                registry.insert(writer, unit_id(number), registered_at=writer.stamp)
                registry.update(writer, unit_id(number), generation="11", last_ip="127.9.9.9")
            writer.event("devices-added", actor="test")

        await here.office.store.change(many)
        await trio.sleep(10)
        assert len(await here.told()) == 1200
