# SPDX-License-Identifier: Apache-2.0
"""What the server manages, story by story: real server, real devices, memory network, virtual time.

Commands have their own stories in test_managed_commands.py.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from tests.support.lab import open_lab, quick_config
from tests.support.managing import HOUR, ask, come_on_board, restart, show, switch_off
from umslab_agent.behaviour import DeviceBehaviour
from umslab_agent.trust import TrustMode
from umslab_protocol.machines.device_life import State
from umslab_protocol.machines.retrying import RetryPolicy
from umslab_protocol.values.failure import Reason
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.values.unit_id import UnitId
from umslab_protocol.wire.orders import CommandName, ConnectorType, ResultState
from umslab_server.config import EnrolmentConfig, HeartbeatConfig, SessionsConfig
from umslab_server.configuration.assignments import ObjectType
from umslab_server.configuration.effective import GLOBAL
from umslab_server.configuration.profiles import ProfileKind
from umslab_server.configuration.reconcile import When
from umslab_server.configuration.rule_matching import Criteria

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from tests.support.lab import Lab

TITLE = "x.session0.title"
PROFILE, APP, FILE = ObjectType.PROFILE, ObjectType.APP, ObjectType.FILE


async def _set(lab: Lab, when: When = When.NOW, **values: str) -> None:
    """Set parameters of the global profile; `_` stands for the dot."""
    settings = {name.replace("_", "."): value for name, value in values.items()}
    await lab.services.profiles.edit(GLOBAL, settings, actor="anna", when=when)


async def test_settings_arrive_now_or_at_the_reboot(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Kept for the reboot means: not at a reconnect, but at the next boot; a value removed is the default again."""
    async with open_lab(tmp_path) as lab:
        device = await come_on_board(lab, "one")

        await _set(lab, x_now="1")
        await trio.sleep(5)
        assert {"x.now": "1"} == device.folder.installed.load().settings
        assert "APPLIED" == (await show(lab, device)).config_changes

        await _set(lab, When.REBOOT, x_later="2")
        lab.memory.reset("ums.lab", "devices")  # type: ignore[union-attr]
        await trio.sleep(60)
        assert {"x.now": "1"} == device.folder.settings.load().settings
        shown = await show(lab, device)
        assert ("online", "PENDING", "reboot") == (shown.state, shown.config_changes, shown.settings_when)

        assert ResultState.SUCCESS == (await ask(lab, device, CommandName.REBOOT)).state
        await trio.sleep(60)
        assert {"x.now": "1", "x.later": "2"} == device.folder.installed.load().settings
        assert "APPLIED" == (await show(lab, device)).config_changes

        await lab.services.profiles.edit(GLOBAL, {}, ["x.now", "x.later"], actor="anna", when=When.NOW)
        await trio.sleep(5)
        assert {} == device.folder.installed.load().settings


async def test_settings_survive_restarts_of_both_sides(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A change while one side is away arrives when both are there again."""
    async with open_lab(tmp_path) as lab:
        device = await come_on_board(lab, "one")
        await switch_off(device)
        await _set(lab, x_while_away="yes")
        await restart(lab)
        device = lab.device("one")
        await device.until_managed()
        await trio.sleep(5)

        assert {"x.while.away": "yes"} == device.folder.installed.load().settings
        assert "APPLIED" == (await show(lab, device)).config_changes


async def test_the_nearer_profile_wins_and_priority_over_all(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Section 11.6: global, directory from the root to the leaf, device; then priority profiles over all."""
    async with open_lab(tmp_path) as lab:
        services, device = lab.services, await come_on_board(lab, "one")
        unit_id = device.device.persona.unit_id
        await services.directories.create("/Bremen/Office", actor="anna")
        await services.directories.move_devices([UnitId(unit_id)], "/Bremen/Office", actor="anna", when=When.NOW)
        seen = []
        for kind, receiver in (
            (ProfileKind.PROFILE, "/Bremen"),
            (ProfileKind.PROFILE, "/Bremen/Office"),
            (ProfileKind.PROFILE, unit_id),
            (ProfileKind.PRIORITY, "/"),
        ):
            await services.profiles.create(f"for {receiver}", kind, {TITLE: receiver}, actor="anna")
            await services.assignments.assign(PROFILE, f"for {receiver}", [receiver], actor="anna", when=When.NOW)
            await trio.sleep(5)
            seen.append(device.folder.installed.load().settings[TITLE])
        assert ["/Bremen", "/Bremen/Office", unit_id, "/"] == seen

        await services.profiles.edit("for /Bremen", {TITLE: "covered"}, actor="anna", when=When.NOW)
        await services.assignments.unassign(PROFILE, "for /", ["/"], actor="anna", when=When.NOW)
        await services.assignments.unassign(PROFILE, f"for {unit_id}", [unit_id], actor="anna", when=When.NOW)
        await trio.sleep(5)
        assert {TITLE: "/Bremen/Office"} == device.folder.installed.load().settings


async def test_rules_place_by_tag(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Section 11.5: the tag decides at registration; a rule of the boot moves it when the tag has changed."""
    async with open_lab(tmp_path) as lab:
        services = lab.services
        for town in ("Bremen", "Augsburg"):
            await services.directories.create(f"/{town}", actor="anna")
            await services.rules.create(
                town, Criteria(structure_tag=town), directory=f"/{town}", override=True, at_boot=True, actor="anna"
            )
        await services.profiles.create("hello", ProfileKind.PROFILE, {TITLE: "Moin"}, actor="anna")
        await services.assignments.assign(PROFILE, "hello", ["/Bremen"], actor="anna", when=When.NOW)

        bremen = await come_on_board(lab, "bremen", structure_tag="BREMEN")
        elsewhere = await come_on_board(lab, "elsewhere")
        await trio.sleep(5)
        assert ["/Bremen", "/"] == [(await show(lab, one)).directory for one in (bremen, elsewhere)]
        assert {TITLE: "Moin"} == bremen.folder.installed.load().settings
        assert {} == elsewhere.folder.installed.load().settings

        tag = "system.remotemanager.ums_structure_tag"
        await services.profiles.edit(GLOBAL, {tag: "Augsburg"}, actor="anna", when=When.NOW)
        await trio.sleep(5)
        await ask(lab, elsewhere, CommandName.REBOOT)
        await trio.sleep(60)
        assert "/Augsburg" == (await show(lab, elsewhere)).directory


async def test_rules_place_by_the_apps_a_device_came_with(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Section 11.5: what is installed before anybody manages the device counts at its registration."""
    async with open_lab(tmp_path) as lab:
        await lab.services.directories.create("/Browsers", actor="anna")
        await lab.services.rules.create("browsers", Criteria(app="chrom*"), directory="/Browsers", actor="anna")
        apps = {"chromium": "126.0"}
        with_app = await come_on_board(lab, "with", behaviour=DeviceBehaviour(apps=apps))
        without = await come_on_board(lab, "without")
        at_registration = [(await show(lab, one)).directory for one in (with_app, without)]
        await trio.sleep(60)
        shown = await show(lab, with_app)
        await ask(lab, with_app, CommandName.FACTORY_RESET)
        await with_app.over.wait()
        again = await come_on_board(lab, "with", key=await lab.mass_key("again"), behaviour=DeviceBehaviour(apps=apps))

        assert ["/Browsers", "/"] == at_registration
        assert [] == shown.apps  # its settings did not ask for any
        assert apps == {one["name"]: one["version"] for one in (await show(lab, again)).apps}


async def test_apps_are_pending_then_installed_or_failed(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The registry follows the installation; what failed says why, and is tried again at the next boot."""
    async with open_lab(tmp_path) as lab:
        slow = DeviceBehaviour(app_install_seconds=100)
        good = await come_on_board(lab, "good", behaviour=slow)
        bad = await come_on_board(lab, "bad", behaviour=DeviceBehaviour(app_failure=1))
        for name in ("browser", "editor"):
            await lab.services.apps.create(name, "1.0", actor="anna")
            await lab.services.assignments.assign(APP, name, ["/"], actor="anna", when=When.NOW)
        await trio.sleep(10)
        assert ["installing", "pending"] == [one["state"] for one in (await show(lab, good)).apps]
        await trio.sleep(600)

        assert [("browser", "installed"), ("editor", "installed")] == [
            (one["name"], one["state"]) for one in (await show(lab, good)).apps
        ]
        failed = (await show(lab, bad)).apps
        assert ["failed", "failed"] == [one["state"] for one in failed]
        assert all("(simulated)" in one["message"] for one in failed)
        await switch_off(bad)
        bad = lab.device("bad")
        await trio.sleep(600)
        assert ["installed", "installed"] == [one["state"] for one in (await show(lab, bad)).apps]


async def test_files_are_fetched_over_https(tmp_path: Path, autojump_clock: MockClock) -> None:
    """FU2: assigned, fetched with the client certificate, taken away again; nobody else's file can be had."""
    (tmp_path / "wallpaper.png").write_bytes(b"blue" * 50_000)
    async with open_lab(tmp_path) as lab:
        device, other = await come_on_board(lab, "one"), await come_on_board(lab, "two")
        files, assignments = lab.services.files, lab.services.assignments
        await files.add(tmp_path / "wallpaper.png", actor="anna")
        unit_id = device.device.persona.unit_id
        await assignments.assign(FILE, "wallpaper.png", [unit_id], actor="anna", when=When.NOW)
        await trio.sleep(30)

        assert b"blue" * 50_000 == (device.folder.files / "wallpaper.png").read_bytes()
        (said,) = (await show(lab, device)).files
        assert ("wallpaper.png", "installed") == (said["name"], said["state"])
        assert await files.content(UnitId(other.device.persona.unit_id), said["sha256"]) is None

        await assignments.unassign(FILE, "wallpaper.png", [unit_id], actor="anna", when=When.NOW)
        await trio.sleep(30)
        assert not (device.folder.files / "wallpaper.png").exists()
        assert [] == (await show(lab, device)).files


async def test_log_ons_and_assets_arrive(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Log-ons once they are wanted (15.5), what is plugged in and out as it happens (11.4); each once."""
    async with open_lab(tmp_path) as lab:
        busy = DeviceBehaviour(log_ons_per_day=8, assets_per_day=4)
        device = await come_on_board(lab, "one", behaviour=busy)
        await trio.sleep(24 * HOUR)
        assert [] == (await show(lab, device)).logons
        await lab.services.profiles.edit(
            GLOBAL, {"system.remotemanager.log_authentication": "true"}, actor="anna", when=When.NOW
        )
        await trio.sleep(24 * HOUR)
        await restart(lab)
        await trio.sleep(24 * HOUR)
        shown = await show(lab, device)

        assert 12 <= len(shown.logons) <= 20
        assert shown.last_user in {one["username"] for one in shown.logons}
        assert 20 <= len(shown.assets) <= 30
        assert {"add_on_boot", "add", "remove"} == {one["event"] for one in shown.assets}


async def test_a_heartbeat_moves_the_last_contact(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Section 9: off by default; switched on, each device is heard of once an interval."""
    quiet = msgspec.structs.replace(quick_config(), sessions=SessionsConfig(ping_seconds=86_400))
    async with open_lab(tmp_path, config=quiet) as lab:
        device = await come_on_board(lab, "one")
        await trio.sleep(6 * HOUR)
        first = (await show(lab, device)).last_contact
        assert first is not None
        assert "2026-01-01T00:00" == first[:16]
        beating = HeartbeatConfig(enabled=True, interval_hours=2, offset_minutes=10)
        await restart(lab, msgspec.structs.replace(quiet, heartbeat=beating))
        await trio.sleep(5 * HOUR)

        beats = [one for one in device.happenings if one.text == "heartbeat"]
        shown = await show(lab, device)
        assert (2, "2026-01-01T10") == (len(beats), (shown.last_contact or "")[:13])
        assert int(shown.runtime["totalUptime"]) > 10 * HOUR * 1000


async def test_manual_approval_makes_them_wait(tmp_path: Path, autojump_clock: MockClock) -> None:
    """202 until somebody approves; a rejected one is refused, and neither has a certificate before."""
    config = msgspec.structs.replace(quick_config(), enrolment=EnrolmentConfig(approval="manual"))
    async with open_lab(tmp_path, config=config) as lab:
        key = await lab.mass_key()
        good, bad = lab.device("good", auth_key=key), lab.device("bad", auth_key=key)
        await trio.sleep(2 * HOUR)
        for device in (good, bad):
            assert device.device.failure is not None
            assert Reason.AWAITING_APPROVAL is device.device.failure.reason
        assert [] == await lab.services.registry.list_devices()
        await restart(lab)
        approvals = lab.services.approvals
        assert ["waiting", "waiting"] == [one.state for one in await approvals.list_all()]
        await approvals.approve([UnitId(good.device.persona.unit_id)], actor="anna")
        await approvals.reject([UnitId(bad.device.persona.unit_id)], actor="anna")
        await good.until_managed()
        await bad.until_state(State.FAILED)

        assert 1 == len((await show(lab, good)).certificates)
        assert [good.device.persona.unit_id] == [one.unit_id for one in await lab.services.registry.list_devices()]


async def test_a_dead_connector_is_passed_over(tmp_path: Path, autojump_clock: MockClock) -> None:
    """W6, W10: the preferred one says nothing for 45 seconds; then the other lets it in."""
    async with open_lab(tmp_path) as lab:
        assert lab.memory is not None
        device = await come_on_board(lab, "one")
        ranking = "system.remotemanager.connectorranking"
        await lab.services.profiles.edit(GLOBAL, {ranking: "icg"}, actor="anna", when=When.NOW)
        lab.memory.host("dead.lab")
        lab.memory.partition("dead.lab", "devices")
        dead = HostPort("dead.lab", 8443)
        await lab.services.connectors.add(ConnectorType.ICG, dead, actor="anna")
        await trio.sleep(5)
        assert 1 == (await lab.services.connectors.view()).acknowledged
        device.changes.clear()
        began = trio.current_time()
        lab.memory.reset("ums.lab", "devices")
        await device.until_managed()

        assert 45 <= trio.current_time() - began <= 60
        assert str(lab.target) == device.folder.reached.load().addresses[0]


@pytest.mark.parametrize("away", [False, True])
async def test_told_that_it_was_deleted(tmp_path: Path, autojump_clock: MockClock, *, away: bool) -> None:
    """L4: at once when it is there, at its next connection when it was away; then it knows no server any more."""
    async with open_lab(tmp_path) as lab:
        device = await come_on_board(lab, "one")
        if away:
            await switch_off(device)
        await lab.services.registry.purge(UnitId(device.device.persona.unit_id), actor="anna")
        if away:
            device = lab.device("one")
        await device.until_state(State.RELEASED)
        await trio.sleep(5)

        assert device.folder.load_identity() is None
        assert [] == device.folder.load_trust()[0]
        assert [] == await lab.services.registry.list_devices()
        again = lab.device("one", auth_key=await lab.mass_key("again"))  # L9, A2: deleted is not banned
        await again.until_managed()


async def test_unknown_for_a_day_means_released(tmp_path: Path, autojump_clock: MockClock) -> None:
    """L5: the server is set back to a backup from before the device came; less than a day of that does nothing."""
    async with open_lab(tmp_path) as lab:
        key = await lab.mass_key()

        async def put(backup: str) -> None:
            await lab.stop_server()
            shutil.rmtree(tmp_path / "server")
            shutil.copytree(tmp_path / backup, tmp_path / "server")
            await lab.start_server()

        async def keep(backup: str) -> None:
            await lab.stop_server()
            shutil.copytree(tmp_path / "server", tmp_path / backup)
            await lab.start_server()

        await keep("before")
        device = await come_on_board(lab, "one", key=key)
        await keep("with")
        await put("before")
        await trio.sleep(20 * HOUR)
        assert device.device.failure is not None
        assert Reason.UNKNOWN_DEVICE is device.device.failure.reason
        await put("with")
        device.changes.clear()
        await device.until_managed()
        await put("before")
        await trio.sleep(23 * HOUR)
        assert State.WAITING is device.device.state
        assert device.folder.load_identity() is not None
        await trio.sleep(2 * HOUR)

        assert State.RELEASED is device.ended
        assert device.folder.load_identity() is None
        (log,) = device.folder.path.glob("self-release-*.log")
        assert "unknown-device" in log.read_text()


async def test_a_wrong_clock_stops_renewals_too(tmp_path: Path, autojump_clock: MockClock) -> None:
    """SE7: a device whose clock went wrong while it was off does not renew by it, day by day."""
    async with open_lab(tmp_path) as lab:
        device = await come_on_board(lab, "one")
        await switch_off(device)
        policy = RetryPolicy(first=HOUR, most=HOUR)
        wrong = lab.device("one", behaviour=DeviceBehaviour(clock_skew_seconds=800 * 86_400), policy=policy)
        await trio.sleep(3 * 24 * HOUR)
        assert wrong.device.failure is not None
        assert Reason.CERTIFICATE_TIME is wrong.device.failure.reason
        assert 1 == len((await show(lab, wrong)).certificates)
        await switch_off(wrong)
        right = lab.device("one", trust_mode=TrustMode())
        await right.until_managed()
