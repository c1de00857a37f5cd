# SPDX-License-Identifier: Apache-2.0
"""An OS 11 device's life against a small UMS, in virtual time."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

import pytest
import trio

from tests.agent.os11.ums import DEVICES, SERVER, Os11Lab, Os11LabDevice, open_os11_lab
from umslab_agent.behaviour import DeviceBehaviour
from umslab_agent.os11.registering import Wish
from umslab_certs.device_communication import DeviceCommunication
from umslab_certs.keys import KeyType
from umslab_protocol.machines.device_life import State
from umslab_protocol.machines.retrying import RetryPolicy
from umslab_protocol.values.device_key import DeviceKey
from umslab_protocol.values.failure import Phase, Reason
from umslab_protocol.wire.messages import Ack, Deregister, PushSettings, PushSysinfo, SettingsMessage
from umslab_protocol.wire.orders import CommandName, FileOrder, ResultState
from umslab_protocol.wire.os11 import ContactRefusal

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

S = State


async def _ready(lab: Os11Lab, name: str = "one", **details: object) -> Os11LabDevice:
    device = lab.device(name, **details)  # type: ignore[arg-type]
    await device.until_state(S.READY)
    return device


def _states(device: Os11LabDevice) -> list[tuple[State, bool]]:
    return [(change.state, change.managed) for change in device.changes]


_MANAGED = [(S.CONTACTING, True), (S.READY, True)]
"""All was said before the goodbye."""


async def test_registration_is_the_first_contact(tmp_path: Path, autojump_clock: MockClock) -> None:
    """It registers, keeps what the server presented, says what it is and takes its settings, all in one session."""
    async with open_os11_lab(tmp_path) as lab:
        device = await _ready(lab, wish=Wish(user="ann", password="secret", name="K1", directory="/hall"))
        (register,) = lab.ums.registers
        await device.until_happening("settings version 1 applied")

        assert [(S.REGISTERING, False), (S.CONTACTING, False), *_MANAGED] == _states(device)
        assert device.changes[-1].managed
        assert lab.ums.communication.pem == device.folder.path.joinpath("server.crt").read_bytes()
        assert ("ann", "secret", "K1", "/hall") == (
            register.user,
            register.password,
            register.name,
            register.directory,
        )
        assert register.key == DeviceKey(device.folder.path.joinpath("tckey").read_bytes()).text
        assert any(isinstance(message, PushSysinfo) for message in lab.ums.messages)
        assert {"a": "1"} == device.folder.installed.load().settings


async def test_a_restart_contacts_with_the_pin(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The second start registers no more (G2), and says where it listens."""
    async with open_os11_lab(tmp_path) as lab:
        device = await _ready(lab)
        device.power_off()
        await device.over.wait()
        again = await _ready(lab)

        assert [(S.CONTACTING, False), *_MANAGED] == _states(again)
        assert 1 == len(lab.ums.registers)
        assert again.device.push_port == lab.ums.known[again.unit_id].push_port


async def test_the_answer_to_a_registration_is_lost(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Nothing is pinned before `registered` has come; the same key is sent again."""
    async with open_os11_lab(tmp_path) as lab:
        assert lab.memory is not None
        lab.memory.latency = 1.0
        device = lab.device(policy=RetryPolicy(onboarding=True))
        await lab.ums.until_registers(1)
        lab.memory.reset(SERVER, DEVICES)
        waited = await device.until_state(S.WAITING)
        assert not device.folder.path.joinpath("server.crt").exists()
        await device.until_state(S.READY)

        assert waited.failure is not None
        assert Phase.REGISTER is waited.failure.phase
        assert 1 == len({register.key for register in lab.ums.registers})
        assert 2 == len(lab.ums.registers)


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (ContactRefusal.CREDENTIALS, Reason.KEY_REFUSED),
        (ContactRefusal.REFUSED, Reason.ENROL_REFUSED),
        (ContactRefusal.VERSION, Reason.PROTOCOL),
    ],
)
async def test_a_registration_is_refused(
    tmp_path: Path, autojump_clock: MockClock, refusal: ContactRefusal, reason: Reason
) -> None:
    """Phase, reason and hint, no vendor code, and nothing is kept."""
    async with open_os11_lab(tmp_path) as lab:
        lab.ums.refusal = (refusal, None)
        device = lab.device(policy=RetryPolicy(onboarding=True))
        await device.over.wait()

        failure = device.device.failure
        assert failure is not None
        assert (S.FAILED, Phase.REGISTER, reason, None) == (
            device.ended,
            failure.phase,
            failure.reason,
            failure.vendor_code,
        )
        assert failure.hint
        assert not device.folder.path.joinpath("server.crt").exists()


async def test_another_certificate_is_never_accepted(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The pin is compared whole and never replaced (G9, G12); the right server is accepted again."""
    async with open_os11_lab(tmp_path) as lab:
        first, device = lab.ums.communication, await _ready(lab)
        other = DeviceCommunication.create(tmp_path / "other", key_type=KeyType.P256, now=lab.clock.utc())
        lab.ums.use(other)
        device.device.network_changed()
        waited = await device.until_state(S.WAITING)
        await trio.sleep(3_600)

        assert waited.failure is not None
        assert (Phase.CONTACT, Reason.PIN_MISMATCH) == (waited.failure.phase, waited.failure.reason)
        assert 1 == lab.ums.contacts
        assert first.pem == device.folder.path.joinpath("server.crt").read_bytes()
        lab.ums.use(first)
        await lab.ums.until_contacts(2)


@pytest.mark.parametrize("known", [False, True])
async def test_a_server_that_does_not_know_it(tmp_path: Path, autojump_clock: MockClock, *, known: bool) -> None:
    """Unknown, or known with another key: it keeps its pin and asks again."""
    async with open_os11_lab(tmp_path) as lab:
        device = await _ready(lab)
        kept = lab.ums.known.pop(device.unit_id)
        if known:
            lab.ums.known[device.unit_id] = type(kept)(DeviceKey(bytes(32)), kept.certificate, kept.push_port)
        device.device.network_changed()
        waited = await device.until_state(S.WAITING)

        assert waited.failure is not None
        assert (Reason.REFUSED if known else Reason.UNKNOWN_DEVICE) == waited.failure.reason
        lab.ums.known[device.unit_id] = kept
        await lab.ums.until_contacts(2)
        assert device.folder.path.joinpath("server.crt").exists()


async def test_a_busy_server_says_when_to_come_back(tmp_path: Path, autojump_clock: MockClock) -> None:
    """`retryAfter` is waited for."""
    async with open_os11_lab(tmp_path) as lab:
        device = await _ready(lab)
        lab.ums.refusal = (ContactRefusal.BUSY, 100.0)
        device.device.network_changed()
        waited = await device.until_state(S.WAITING)

        assert waited.wait is not None
        assert 100 <= waited.wait < 110


async def test_settings_are_pushed(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The server calls on 30005: durable, acknowledged, in effect."""
    async with open_os11_lab(tmp_path) as lab:
        device = await _ready(lab)
        lab.ums.settings = SettingsMessage(id=1, version=2, digest="2", settings={"a": "2"})
        call = await lab.ums.call(device.unit_id, lab.ums.settings)
        await device.until_happening("settings version 2 applied")

        assert (1000, None) == (call.closed.code, call.refused)
        assert Ack(re=1) in call.heard
        assert {"a": "2"} == device.folder.installed.load().settings


async def test_a_stranger_orders_nothing(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Who does not hold the key is refused before anything is heeded."""
    async with open_os11_lab(tmp_path) as lab:
        device = await _ready(lab)
        order = SettingsMessage(id=1, version=9, digest="9", settings={"evil": "1"})
        call = await lab.ums.call(device.unit_id, order, key=DeviceKey(bytes(32)))

        assert (ContactRefusal.BAD_PROOF, []) == (call.refused, call.heard)
        assert 1 == device.folder.settings.load().version


async def test_calls_and_contacts_take_turns(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Two calls and a contact at once: each is heard to its end."""
    async with open_os11_lab(tmp_path) as lab:
        device = await _ready(lab)
        device.device.network_changed()
        results: list[ResultState] = []

        async def order(number: int) -> None:
            result = await lab.ums.command(device.unit_id, CommandName.MESSAGE, f"e{number}", text=f"hello {number}")
            results.append(ResultState(result.state))

        async with trio.open_nursery() as nursery:
            for number in range(2):
                nursery.start_soon(order, number)
        await lab.ums.until_contacts(2)

        assert [ResultState.SUCCESS] * 2 == results
        assert {"hello 0", "hello 1"} == {entry.text for entry in device.folder.inbox.load().messages}


async def test_a_command_is_done_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The same execID in another call is answered from the journal, also after a restart."""
    async with open_os11_lab(tmp_path) as lab:
        device = await _ready(lab)
        first = await lab.ums.command(device.unit_id, CommandName.MESSAGE, text="once")
        device.power_off()
        await device.over.wait()
        device = await _ready(lab)
        second = await lab.ums.command(device.unit_id, CommandName.MESSAGE, text="once")

        assert first.state == second.state == ResultState.SUCCESS
        assert 1 == len(device.folder.inbox.load().messages)


@pytest.mark.parametrize(
    ("command", "state"),
    [(CommandName.REBOOT, S.REBOOTING), (CommandName.SUSPEND, S.SUSPENDED), (CommandName.SHUTDOWN, S.OFF)],
)
async def test_it_goes_away_and_comes_back(
    tmp_path: Path, autojump_clock: MockClock, command: CommandName, state: State
) -> None:
    """The result first; then nobody listens, until it is there again and has contacted its server."""
    behaviour = DeviceBehaviour(boot_seconds=30, resume_after_seconds=30, power_on_after_seconds=30)
    async with open_os11_lab(tmp_path) as lab:
        device = await _ready(lab, behaviour=behaviour)
        result = await lab.ums.command(device.unit_id, command)
        await device.until_state(state)
        with pytest.raises(Exception, match="refused"):
            await lab.ums.command(device.unit_id, CommandName.MESSAGE, "e2", text="anybody there?")
        await lab.ums.until_contacts(2)
        again = await lab.ums.command(device.unit_id, CommandName.MESSAGE, "e3", text="there you are")

        assert ResultState.SUCCESS == result.state == again.state


async def test_a_reset_device_knows_nothing_and_registers_anew(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Reset to factory defaults: pin, key and settings are gone (A2); the unit ID stays."""
    behaviour = DeviceBehaviour(after_reset="onboard", boot_seconds=5)
    async with open_os11_lab(tmp_path) as lab:
        device = await _ready(lab, behaviour=behaviour)
        await lab.ums.command(device.unit_id, CommandName.FACTORY_RESET)
        await device.until_state(S.FACTORY)
        assert not device.folder.path.joinpath("server.crt").exists()
        await lab.ums.until_contacts(2)

        first, second = lab.ums.registers
        assert first.hello.unitID == second.hello.unitID
        assert first.key != second.key


@pytest.mark.parametrize("how", ["call", "contact"])
async def test_a_deleted_device_forgets_its_server(tmp_path: Path, autojump_clock: MockClock, how: str) -> None:
    """Told so by a server that has proved the key (L4), in a call or in a contact."""
    async with open_os11_lab(tmp_path) as lab:
        device = await _ready(lab)
        if how == "call":
            await lab.ums.call(device.unit_id, Deregister(id=1))
        else:
            lab.ums.answers = [Deregister(id=1)]
            device.device.network_changed()
        await device.over.wait()

        assert S.RELEASED is device.ended
        assert not device.folder.path.joinpath("server.crt").exists()
        assert not device.folder.path.joinpath("tckey").exists()


async def test_a_file_is_fetched_from_the_file_transfer_port(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Ordered on 30005, fetched over HTTPS from the pinned server with a ticket (FU1), told in a contact of its own."""
    content = b"wallpaper" * 1000
    digest = hashlib.sha256(content).hexdigest()
    async with open_os11_lab(tmp_path) as lab:
        device = await _ready(lab)
        lab.ums.files[digest] = content
        order = FileOrder(name="paper.png", sha256=digest, size=len(content))
        lab.ums.settings = SettingsMessage(id=1, version=2, digest="2", settings={}, files=[order])
        await lab.ums.call(device.unit_id, lab.ums.settings)
        await device.until_happening("file paper.png installed")

        assert content == (device.folder.files / "paper.png").read_bytes()


async def test_a_file_server_with_another_certificate(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The pin holds for files too."""
    async with open_os11_lab(tmp_path) as lab:
        device = await _ready(lab)
        lab.ums.use(DeviceCommunication.create(tmp_path / "other", key_type=KeyType.P256, now=lab.clock.utc()))
        result = await lab.ums.command(
            device.unit_id, CommandName.FILE_TRANSFER, name="f", sha256="0" * 64, size="3"
        )  # fmt: skip

        assert ResultState.FAILED == result.state


async def test_what_changes_leads_to_contacts(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Changes of the network (G3) and of the device, by its behaviour."""
    behaviour = DeviceBehaviour(network_changes_per_day=2, sysinfo_changes_per_day=1)
    async with open_os11_lab(tmp_path) as lab:
        await _ready(lab, behaviour=behaviour)
        await trio.sleep(10 * 86_400)

        assert 20 <= lab.ums.contacts <= 50


async def test_the_keys_of_g13_are_told_and_weaken_nothing(tmp_path: Path, autojump_clock: MockClock) -> None:
    """`tls_verify_peer` off is kept and told; another certificate is refused all the same."""
    name = "system.security.remote_management.tls_verify_peer"
    async with open_os11_lab(tmp_path) as lab:
        lab.ums.settings = SettingsMessage(id=1, version=1, digest="1", settings={name: "true"})
        device = await _ready(lab)
        await device.until_happening("settings version 1")
        await lab.ums.command(device.unit_id, CommandName.SETTINGS_FROM_DEVICE)
        told = await lab.ums.until_message(PushSettings)
        lab.ums.settings = SettingsMessage(id=1, version=2, digest="2", settings={name: "false"})
        await lab.ums.call(device.unit_id, lab.ums.settings)
        await device.until_happening("settings version 2")
        lab.ums.use(DeviceCommunication.create(tmp_path / "other", key_type=KeyType.P256, now=lab.clock.utc()))
        device.device.network_changed()
        waited = await device.until_state(S.WAITING)

        assert isinstance(told, PushSettings)
        assert "true" == told.settings[name]
        assert waited.failure is not None
        assert Reason.PIN_MISMATCH is waited.failure.reason


async def test_the_listening_port_is_taken(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Two devices on one address and port: the second says what to do."""
    async with open_os11_lab(tmp_path) as lab:
        first = await _ready(lab)
        second = lab.device("two", push_port=first.device.push_port)
        await second.over.wait()

        assert second.device.failure is not None
        assert (S.FAILED, Reason.BAD_ARGUMENTS) == (second.ended, second.device.failure.reason)
        assert "--push-port" in second.device.failure.hint


@pytest.mark.parametrize("file", ["server.crt", "tckey"])
async def test_a_damaged_folder(tmp_path: Path, autojump_clock: MockClock, file: str) -> None:
    """It is named, and nothing is registered over it."""
    async with open_os11_lab(tmp_path) as lab:
        device = await _ready(lab)
        device.power_off()
        await device.over.wait()
        (device.folder.path / file).write_bytes(b"x")
        again = lab.device()
        await again.over.wait()

        assert again.device.failure is not None
        assert (S.FAILED, Reason.STATE_DAMAGED) == (again.ended, again.device.failure.reason)
        assert file in again.device.failure.detail
        assert 1 == len(lab.ums.registers)


async def test_an_update_to_os_12_ends_it(tmp_path: Path, autojump_clock: MockClock) -> None:
    """After it the device is one of OS 12 (O6), which is started anew."""
    async with open_os11_lab(tmp_path) as lab:
        device = await _ready(lab, behaviour=DeviceBehaviour(boot_seconds=1, update_seconds=1))
        await lab.ums.command(device.unit_id, CommandName.UPDATE, version="12.8.4")
        await device.over.wait()

        assert S.FAILED is device.ended
        assert device.device.failure is not None
        assert "(O6)" in device.device.failure.hint
        assert "12.8.4" == device.device.persona.firmware


async def test_each_device_presents_its_own_certificate(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Devices of two key types share contexts; each call meets the right one."""
    async with open_os11_lab(tmp_path) as lab:
        kinds = [KeyType.P256, KeyType.P384, KeyType.P256]
        devices = [await _ready(lab, f"d{index}", key_type=kind) for index, kind in enumerate(kinds)]
        for number in range(2):
            for device in devices:
                result = await lab.ums.command(device.unit_id, CommandName.MESSAGE, f"e{number}", text="you")
                assert ResultState.SUCCESS == result.state

        assert 3 == len({lab.ums.known[device.unit_id].certificate for device in devices})


async def test_over_loopback(tmp_path: Path) -> None:
    """Registration, a push and a command over real TLS 1.2."""
    async with open_os11_lab(tmp_path, real=True) as lab:
        device = await _ready(lab)
        lab.ums.settings = SettingsMessage(id=1, version=2, digest="2", settings={"a": "2"})
        await lab.ums.call(device.unit_id, lab.ums.settings, host="127.0.0.1")
        await device.until_happening("settings version 2")

        assert {"a": "2"} == device.folder.installed.load().settings
    shutil.rmtree(tmp_path / "one")


async def test_a_network_that_is_lost_and_found(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Nothing was open, so nothing fails; the device is not managed until it has contacted its UMS again (G3)."""
    async with open_os11_lab(tmp_path) as lab:
        device = await _ready(lab)
        failed = device.device.cut()
        await lab.ums.until_contacts(2)
        contacting = _states(device)[-1]
        device.changes.clear()
        await device.until_state(S.READY)

    assert not failed
    assert (S.CONTACTING, False) == contacting
    assert _MANAGED == _states(device)


async def test_a_contact_that_is_cut_off(tmp_path: Path, autojump_clock: MockClock) -> None:
    """It fails, and is tried again; once all was said, nothing fails by it."""
    async with open_os11_lab(tmp_path) as lab:
        assert lab.memory is not None
        lab.memory.latency = 1.0
        device = lab.device(policy=RetryPolicy(onboarding=True))
        await lab.ums.until_registers(1)
        early = device.device.cut()
        await device.until_managed()
        late = device.device.cut()
        await device.until_state(State.READY)

    assert (True, False) == (early, late)
    assert State.WAITING in {state for state, _ in _states(device)}
