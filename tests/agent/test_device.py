# SPDX-License-Identifier: Apache-2.0
"""A device's life against a real server, in virtual time."""

from __future__ import annotations

import shutil
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from tests.agent.desk import do, open_desk
from tests.support.lab import EPOCH, Lab, LabDevice, open_lab, quick_config
from umslab_agent.behaviour import DeviceBehaviour
from umslab_agent.trust import TrustMode
from umslab_protocol.machines.device_life import State
from umslab_protocol.machines.retrying import RetryPolicy
from umslab_protocol.values.auth_key import KeyKind
from umslab_protocol.values.failure import Phase, Reason
from umslab_protocol.values.fingerprint import CommunicationToken
from umslab_protocol.values.unit_id import UnitId
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.orders import CommandName
from umslab_runtime.clock import VirtualClock
from umslab_runtime.http import text_response
from umslab_server.certificates import open_or_create
from umslab_server.config import EnrolmentConfig, RegistryConfig, SessionsConfig
from umslab_server.state_folder import StateFolder

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

UNTRUSTED = Reason.UNTRUSTED_SERVER
QUIET = SessionsConfig(ping_seconds=86_400)  # pings of a virtual year would be most of the work


async def _on_board(lab: Lab, name: str = "one", **details: object) -> LabDevice:
    device = lab.device(name, auth_key=await lab.mass_key(f"key-{name}"), **details)  # type: ignore[arg-type]
    await device.until_managed()
    return device


def _unit_id(device: LabDevice) -> UnitId:
    return UnitId(device.device.persona.unit_id)


async def test_the_states_on_the_way(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Each state is told once, in order."""
    async with open_lab(tmp_path) as lab:
        device = await _on_board(lab)

        states = [change.state for change in device.changes]

    assert states == [
        State.TRUSTING, State.PREPARING, State.ENROLLING, State.CONNECTING, State.ONLINE, State.ONLINE,
    ]  # fmt: skip


async def test_a_restarted_device_goes_straight_to_its_session(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A restart reconnects without enrolling, without a key, without a token."""
    async with open_lab(tmp_path) as lab:
        device = await _on_board(lab)
        device.power_off()
        await trio.sleep(1)

        again = lab.device("one", trust_mode=TrustMode())
        await again.until_managed()

        assert again.changes[0].state == State.CONNECTING


@pytest.mark.parametrize("cut", [State.PREPARING, State.ENROLLING, State.CONNECTING])
async def test_a_power_cut_on_the_way_is_caught_up(tmp_path: Path, autojump_clock: MockClock, cut: State) -> None:
    """Whatever step the power fails in, the next boot ends managed, with the one-time key used once."""
    async with open_lab(tmp_path) as lab:
        (key,) = await lab.services.keys.create(KeyKind.ONE_TIME, actor="test")
        device = lab.device("one", auth_key=key.secret)
        await device.until_state(cut)
        device.power_off()
        await trio.sleep(1)

        again = lab.device("one", auth_key=key.secret)
        await again.until_managed()

        (used,) = await lab.services.keys.list_keys()
        assert (used.uses, used.state) == (1, "spent")


async def test_the_answer_to_an_enrolment_is_lost(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The link breaks while the certificate is on its way: the same request gets the same certificate."""
    async with open_lab(tmp_path, latency=1.0) as lab:
        assert lab.memory is not None
        (key,) = await lab.services.keys.create(KeyKind.ONE_TIME, actor="test")
        device = lab.device("one", auth_key=key.secret, policy=RetryPolicy(onboarding=True))
        await device.until_state(State.ENROLLING)
        await _until_enrolled(lab)
        lab.memory.reset("ums.lab", "devices")
        await device.until_managed()

        shown = await lab.services.registry.show(_unit_id(device))
        assert [certificate.state for certificate in shown.certificates] == ["active"]
        assert device.device.failure is not None
        assert (device.device.failure.phase, device.device.failure.reason) == (Phase.ENROL, Reason.TLS_BROKEN)


async def _until_enrolled(lab: Lab) -> None:
    while not any(event.kind == "device-enrolled" for event in await lab.services.store.events(0)):
        await lab.services.store.feed.beyond(lab.services.store.feed.value)


async def test_a_wrong_token_ends_it(tmp_path: Path, autojump_clock: MockClock) -> None:
    """No retry helps against a wrong token, so there is none; nothing was sent but the first fetch."""
    async with open_lab(tmp_path) as lab:
        device = lab.device(
            "one", auth_key="unused", trust_mode=TrustMode(token=CommunicationToken("0" * 16)),
            policy=RetryPolicy(onboarding=True),
        )  # fmt: skip
        await device.until_state(State.FAILED)

        assert device.device.failure is not None
        assert device.device.failure.reason == Reason.PIN_MISMATCH
        assert await lab.services.registry.list_devices() == []


async def test_one_time_keys_work_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    """K1: a second device with the same key is refused with 38."""
    async with open_lab(tmp_path) as lab:
        (key,) = await lab.services.keys.create(KeyKind.ONE_TIME, actor="test")
        first = lab.device("one", auth_key=key.secret)
        await first.until_managed()
        second = lab.device("two", auth_key=key.secret)
        await second.until_state(State.FAILED)

        assert second.device.failure is not None
        assert (second.device.failure.reason, second.device.failure.vendor_code) == (Reason.KEY_REFUSED, 38)


async def test_the_recycle_bin_blocks_a_new_enrolment(tmp_path: Path, autojump_clock: MockClock) -> None:
    """RB4: a reset device whose old self is in the bin gets 38; restored, it comes on board."""
    async with open_lab(tmp_path) as lab:
        device = await _on_board(lab)
        await lab.services.registry.delete(_unit_id(device), actor="test")
        device.power_off()
        await trio.sleep(1)
        device.folder.forget()

        refused = lab.device("one", auth_key="key-one")
        await refused.until_state(State.FAILED)
        await lab.services.registry.restore(_unit_id(device), actor="test")
        await _gone(refused)
        welcome = lab.device("one", auth_key="key-one")
        await welcome.until_managed()

        assert refused.device.failure is not None
        assert refused.device.failure.vendor_code == 38


async def _gone(device: LabDevice) -> None:
    device.power_off()
    await trio.sleep(1)


async def test_a_binned_device_stays_connected(tmp_path: Path, autojump_clock: MockClock) -> None:
    """RB1: in the bin it is not deregistered, and may connect."""
    async with open_lab(tmp_path) as lab:
        device = await _on_board(lab)
        await lab.services.registry.delete(_unit_id(device), actor="test")
        await _gone(device)
        again = lab.device("one")
        await again.until_managed()


async def test_a_device_deleted_while_online_is_told_at_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    """It forgets its identity and does not come back."""
    config = msgspec.structs.replace(quick_config(), registry=RegistryConfig(recycle_bin=False))
    async with open_lab(tmp_path, config=config) as lab:
        device = await _on_board(lab)
        await lab.services.registry.delete(_unit_id(device), actor="test")
        await device.until_state(State.RELEASED)
        await trio.sleep(1)

        assert device.folder.load_identity() is None
        assert device.folder.load_trust() == ([], [])
        kinds = [event.kind for event in await lab.services.store.events(0)]
        assert kinds.count("device-deregistered") == 1


async def test_a_device_deleted_while_away_is_told_when_it_comes(tmp_path: Path, autojump_clock: MockClock) -> None:
    """L4: the tombstone waits for it and goes with its acknowledgement."""
    async with open_lab(tmp_path) as lab:
        device = await _on_board(lab)
        await _gone(device)
        await lab.services.registry.purge(_unit_id(device), actor="test")
        again = lab.device("one")
        await again.until_state(State.RELEASED)
        await trio.sleep(1)

        kinds = [event.kind for event in await lab.services.store.events(0)]
        assert kinds.count("device-deregistered") == 1


async def test_an_unknown_device_waits_for_its_release(tmp_path: Path, autojump_clock: MockClock) -> None:
    """L5: firmware 12.8.4 drops its registration only after a day of "unknown"."""
    async with open_lab(tmp_path) as lab:
        device = await _on_board(lab)
        await _gone(device)
        await _forget_in_registry(lab, _unit_id(device))
        again = lab.device("one")
        change = await again.until_state(State.WAITING)
        began = trio.current_time()
        await again.until_state(State.RELEASED)

        assert change.failure is not None
        assert change.failure.reason == Reason.UNKNOWN_DEVICE
        assert 86_400 <= trio.current_time() - began < 87_000


async def _forget_in_registry(lab: Lab, unit_id: UnitId) -> None:
    """As after restoring an old backup: no device, no tombstone."""
    await lab.services.registry.purge(unit_id, actor="test")
    await lab.services.store.change(lambda writer: writer.connection.exec_driver_sql("DELETE FROM tombstone"))


async def test_a_revoked_device_is_refused_and_keeps_trying(tmp_path: Path, autojump_clock: MockClock) -> None:
    """SE4: the session ends, the next one is a 403; it is not "unknown", so nothing is released."""
    async with open_lab(tmp_path) as lab:
        device = await _on_board(lab, policy=RetryPolicy(first=900, most=3_600))
        await lab.services.registry.revoke(_unit_id(device), actor="test", reason="stolen")
        await device.until(lambda change: change.failure is not None and change.failure.phase is Phase.CONNECT)

        assert device.device.failure is not None
        assert device.device.failure.reason == Reason.REFUSED
        assert "stolen" in device.device.failure.detail
        await trio.sleep(3 * 86_400)
        assert State.RELEASED not in {change.state for change in device.changes}


async def test_back_off_grows_and_ends_with_the_outage(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Waits double up to the limit, with jitter; when the server is back the device comes back and starts afresh."""
    async with open_lab(tmp_path) as lab:
        device = await _on_board(lab)
        await lab.stop_server()
        await trio.sleep(4_000)
        waits = [change.wait or 0.0 for change in device.changes if change.state is State.WAITING]
        await lab.start_server()
        device.changes.clear()
        await device.until_managed()

        doubled = [wait / 0.75 for wait in waits[1:]]
        assert sorted(waits[:8]) == waits[:8]
        assert pytest.approx(max(doubled)) == 300
        assert pytest.approx([wait / 0.75 for wait in waits[:4]], rel=0.2) == [1, 2, 4, 8]


async def test_a_dead_path_is_noticed_by_both_sides(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A partition drops nothing but packets: the server's ping and the device's patience end the session."""
    async with open_lab(tmp_path) as lab:
        assert lab.memory is not None
        device = await _on_board(lab)
        lab.memory.partition("ums.lab", "devices")
        await device.until_state(State.WAITING)
        await trio.sleep(600)

        assert len(lab.services.presence) == 0
        lab.memory.heal("ums.lab", "devices")
        device.changes.clear()
        await device.until_managed()


async def test_the_newest_session_wins(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Two machines with one identity: the later one is connected, the earlier one is told why."""
    async with open_lab(tmp_path) as lab:
        first = await _on_board(lab)
        twin = lab.device("one")
        await twin.until_managed()
        await first.until(lambda change: change.failure is not None)

        assert first.device.failure is not None
        assert "took over" in first.device.failure.detail


async def test_a_changed_certificate_under_the_same_root_passes(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Renewing the web certificate disturbs nobody: open sessions stay, new ones accept it."""
    async with open_lab(tmp_path) as lab:
        device = await _on_board(lab)
        await lab.services.certificates.renew(actor="test")
        assert len(lab.services.presence) == 1
        await _gone(device)
        again = lab.device("one")
        await again.until_managed()


async def test_a_foreign_root_never_does(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A server with another root at the same name and port is refused with 46, however often the device tries."""
    async with open_lab(tmp_path) as lab:
        device = await _on_board(lab)
        await lab.stop_server()
        shutil.rmtree(tmp_path / "server" / "web")
        open_or_create(StateFolder(tmp_path / "server"), ["ums.lab"], lab.config.certificates, lab.clock.utc())
        await lab.start_server()
        await device.until(lambda change: change.failure is not None and change.failure.reason is UNTRUSTED)
        await trio.sleep(3_600)

        assert device.device.failure is not None
        assert device.device.failure.vendor_code == 46
        assert len(lab.services.presence) == 0


async def test_a_renewal_that_fails_is_tried_again_later(tmp_path: Path, autojump_clock: MockClock) -> None:
    """While the server is away on the day of the renewal, the old certificate goes on; later it is renewed."""
    config = msgspec.structs.replace(quick_config(), sessions=QUIET)
    async with open_lab(tmp_path, config=config, days=500) as lab:
        device = await _on_board(lab)
        await trio.sleep(334 * 86_400)
        await lab.stop_server()
        await trio.sleep(3 * 86_400)
        await lab.start_server()
        await trio.sleep(3 * 86_400)

        shown = await lab.services.registry.show(_unit_id(device))
        assert [certificate.state for certificate in shown.certificates] == ["superseded", "active"]


async def test_an_expired_device_needs_the_switch(tmp_path: Path, autojump_clock: MockClock) -> None:
    """X9: a device that was away too long is refused; with the switch on it is let in and renews."""
    config = msgspec.structs.replace(quick_config(), sessions=QUIET)
    async with open_lab(tmp_path, config=config, days=500) as lab:
        device = await _on_board(lab)
        await _gone(device)
        await trio.sleep(400 * 86_400)
        refused = lab.device("one", policy=RetryPolicy(connection=False))
        await refused.until_state(State.FAILED)
        await lab.stop_server()
        await lab.start_server(msgspec.structs.replace(config, enrolment=EnrolmentConfig(accept_expired=True)))
        again = lab.device("one")
        await again.until_managed()

        assert refused.device.failure is not None
        assert refused.device.failure.reason == Reason.REFUSED
        shown = await lab.services.registry.show(_unit_id(device))
        assert shown.certificates[-1].state == "active"
        assert len(shown.certificates) == 2


async def test_a_clock_that_is_wrong_is_named(tmp_path: Path, autojump_clock: MockClock) -> None:
    """SE7: a device two years ahead finds the web certificate expired and hints at the clock."""
    async with open_lab(tmp_path) as lab:
        skewed = VirtualClock(EPOCH, skew=timedelta(days=800))
        device = lab.device("one", auth_key="unused", clock=skewed)
        await device.until_state(State.FAILED)

        assert device.device.failure is not None
        assert device.device.failure.reason == Reason.CERTIFICATE_TIME
        assert "clock" in device.device.failure.hint


async def test_damaged_state_is_named(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A broken identity file ends the life with phase start and the file's name."""
    async with open_lab(tmp_path) as lab:
        device = await _on_board(lab)
        await _gone(device)
        device.folder.identity_file.write_bytes(b"nonsense")
        again = lab.device("one")
        await again.until_state(State.FAILED)

        assert again.device.failure is not None
        assert (again.device.failure.phase, again.device.failure.reason) == (Phase.START, Reason.STATE_DAMAGED)
        assert "identity.pem" in again.device.failure.detail


async def test_a_device_that_waits_for_approval_asks_again(tmp_path: Path, autojump_clock: MockClock) -> None:
    """202 with Retry-After: it asks when it was told to, though the policy allows no second try (RFC 7030)."""
    async with open_desk(tmp_path) as desk:
        desk.enrolments = [text_response(202, "soon", [("Retry-After", "120")])] * 3
        device = desk.device()
        await device.until_managed()
        asked = [request for _, request in desk.requests if request.path.endswith("simpleenroll")]

        assert 4 == len(asked)
        assert 1 == len({request.body for request in asked})
        assert 360 < trio.current_time() < 380
        assert device.device.failure is not None
        assert Reason.AWAITING_APPROVAL is device.device.failure.reason


async def test_a_certificate_is_renewed_while_no_server_opens_sessions(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """The daily look goes on while the device waits: it is renewed before it expires."""
    async with open_desk(tmp_path, days=400) as desk:
        device = desk.device(policy=RetryPolicy(first=43_200, most=43_200, jitter=0.0))
        await device.until_managed()
        before = device.folder.load_identity()
        desk.refusals = {"ums.lab": text_response(503, "busy")}
        (await desk.session()).pump.close(CloseCode.GOING_AWAY, "for a year")
        await trio.sleep(338 * 86_400)

        assert before != device.folder.load_identity()
        assert 1 == len(desk.sessions)


async def test_a_command_while_the_device_is_cut_off_at_its_end(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A plug pulled while it reboots, sleeps or is off: the next start is an ordinary boot."""
    async with open_desk(tmp_path) as desk:
        for number, command in enumerate((CommandName.REBOOT, CommandName.SUSPEND, CommandName.SHUTDOWN)):
            behaviour = DeviceBehaviour(power_on_after_seconds=1_000)
            device = desk.device(behaviour=behaviour)
            session = await desk.session(number + 1)
            assert str(number + 1) == session.hello.boot
            await do(session, command, f"x{number}")
            await device.until(lambda change: change.state in {State.REBOOTING, State.SUSPENDED, State.OFF})
            device.power_off()
            await device.over.wait()
