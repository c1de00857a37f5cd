# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.os11.registration: who is taken in on TCP 30001, and as what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.server.parts import unit_id
from tests.server.world import config, open_world
from umslab_protocol.machines.carrier import Closed
from umslab_protocol.values.device_key import DeviceKey
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.messages import Welcome
from umslab_protocol.wire.os11 import ContactRefusal
from umslab_server.config import EnrolmentConfig, RegistryConfig
from umslab_server.enrolment import KnownDevice
from umslab_server.importing import ImportedDevice
from umslab_server.throttle import ThrottleRules

from .endpoint import FIRMWARE, Os11Endpoint

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from trio.testing import MockClock

    from tests.server.world import World
    from umslab_server.config import ServerConfig

PASSWORD = "correct horse"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A server with the account ann."""
    async with open_world(tmp_path) as opened:
        await opened.services.os11.accounts.create("ann", PASSWORD, actor="test")
        yield opened


def rollout(**enrolment: Any) -> ServerConfig:
    """Automatic registration is on."""
    return config(enrolment=EnrolmentConfig(automatic=True, **enrolment))


async def refusal(device: Os11Endpoint, **wishes: str) -> tuple[ContactRefusal, str]:
    """How the server refuses a registration."""
    line, answer = await device.ask(**wishes)

    assert isinstance(answer, Closed)
    return line.refused.refusal, line.refused.message


async def test_with_a_user(world: World, autojump_clock: MockClock) -> None:
    """A9: it is in the registry when it is told so, under the name and in the directory that it asked for."""
    await world.services.directories.create("/Bremen", actor="ann")
    device = Os11Endpoint(world)
    line = await device.register(user="ann", password=PASSWORD, name="kiosk-7", structureTag="HQ", directory="/Bremen")
    view = await device.view()

    assert (view.generation, view.firmware, view.name) == ("11", FIRMWARE, "kiosk-7")
    assert (view.directory, view.structure_tag, view.last_ip) == ("/Bremen", "HQ", "devices")
    assert view.registered_at is not None
    events = await world.events("device-registered", "os11-registered")
    assert [event.data.get("user") for event in events] == [None, "ann"]
    assert (await line.goodbye()).code == CloseCode.NORMAL


async def test_no_secret_is_told(world: World, autojump_clock: MockClock) -> None:
    """Neither the key nor the password is in the feed or in what the terminal shows."""
    device = Os11Endpoint(world)
    await device.register(user="ann", password=PASSWORD)
    told = msgspec.json.encode([await world.events(), await device.view()]).decode()

    assert device.key.text not in told
    assert PASSWORD not in told


async def test_wrong_credentials(world: World, autojump_clock: MockClock) -> None:
    """Nobody learns whether it was the user or the password; a token that was not given opens nothing either."""
    device = Os11Endpoint(world)
    refusals = [
        await refusal(device, user="ann", password="wrong"),
        await refusal(device, user="bob", password=PASSWORD),
        await refusal(device, token="guessed"),
    ]

    assert [ContactRefusal.CREDENTIALS] * 3 == [one for one, _ in refusals]
    assert refusals[0] == refusals[1]
    assert {event.cause for event in await world.events("registration-refused")} == {one for _, one in refusals}
    assert await world.services.registry.list_devices() == []


async def test_unknown_device(world: World, autojump_clock: MockClock) -> None:
    """A1: without the switch it needs a user; the message says what can be done."""
    kind, message = await refusal(Os11Endpoint(world))

    assert kind is ContactRefusal.REFUSED
    assert "automatic registration is off" in message
    assert "UMS user (A9)" in message


async def test_automatic(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A1, A2: with the switch on it is taken as it is, and again after a reset; its own wishes do not count."""
    async with open_world(tmp_path, rollout()) as world:
        device = Os11Endpoint(world)
        await device.register(name="chosen", directory="/nowhere")
        device.key = DeviceKey(bytes(32))
        await device.register()
        view = await device.view()

    assert (view.name, view.directory) == (f"ITC{device.unit_id}", "/")


async def test_imported(world: World, autojump_clock: MockClock) -> None:
    """K8: it is welcome once, under its own name; later a stranger with its unit ID is not."""
    imported = ImportedDevice(unit_id(1), name="desk-1")
    await world.services.registry.import_devices([imported], actor="ann")
    device = Os11Endpoint(world)
    await device.register()
    stranger = Os11Endpoint(world)

    assert (await device.view()).name == "desk-1"
    kind, message = await refusal(stranger)
    assert kind is ContactRefusal.REFUSED
    assert "registered before" in message


async def test_the_answer_that_was_lost(world: World, autojump_clock: MockClock) -> None:
    """Who holds the registered key is that device: it is told again, without user or password."""
    device = Os11Endpoint(world)
    line = await device.register(user="ann", password=PASSWORD)
    await line.hang_up()
    _, answer = await device.ask()

    assert isinstance(answer, Welcome)
    assert len(await world.events("device-registered")) == 1


async def test_recycle_bin(world: World, autojump_clock: MockClock) -> None:
    """RB4: a device in it is refused, whoever asks."""
    device = Os11Endpoint(world)
    await (await device.register(user="ann", password=PASSWORD)).goodbye()
    await world.services.registry.delete(device.unit_id, actor="ann")

    kind, message = await refusal(device, user="ann", password=PASSWORD)
    assert kind is ContactRefusal.REFUSED
    assert "recycle bin" in message


async def test_known_device_refused(tmp_path: Path, autojump_clock: MockClock) -> None:
    """`known_device = "refuse"` holds for OS 11 too, but not against the holder of the key."""
    async with open_world(tmp_path, rollout(known_device=KnownDevice.REFUSE)) as world:
        device = Os11Endpoint(world)
        await device.register()
        await device.register()

        assert await refusal(Os11Endpoint(world)) == (
            ContactRefusal.REFUSED,
            "a device with this unit ID is registered already",
        )


async def test_naming_convention(tmp_path: Path, autojump_clock: MockClock) -> None:
    """It names OS 11 devices as well, from the same numbers."""
    chosen = msgspec.structs.replace(rollout(), registry=RegistryConfig(naming_prefix="TC"))
    async with open_world(tmp_path, chosen) as world:
        for number in (1, 2):
            await Os11Endpoint(world, number).register()
        devices = await world.services.registry.list_devices()

    assert [one.name for one in devices] == ["TC0001", "TC0002"]


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [
        ({"certificate": "no PEM"}, "the device's own certificate"),
        ({"mac": "no MAC"}, "MAC"),
        ({"structureTag": "\n"}, "structure tag"),
        ({"user": "ann", "password": PASSWORD, "directory": "/nowhere"}, "nowhere"),
    ],
)
async def test_what_cannot_be_read(
    world: World, wishes: dict[str, str], expected: str, autojump_clock: MockClock
) -> None:
    """The refusal says what is wrong, and nothing is kept."""
    kind, message = await refusal(Os11Endpoint(world), **wishes)

    assert kind is ContactRefusal.REFUSED
    assert expected in message
    assert await world.services.registry.list_devices() == []


async def test_guessing_is_slowed_down(tmp_path: Path, autojump_clock: MockClock) -> None:
    """As with first-authentication keys: after a few wrong ones the next is not looked at."""
    rules = ThrottleRules(wrong_keys_per_device=2)
    async with open_world(tmp_path, config(throttle=rules)) as world:
        device = Os11Endpoint(world)
        kinds = [(await refusal(device, user="ann", password="wrong"))[0] for _ in range(3)]
        line, _ = await device.ask()

    assert kinds == [ContactRefusal.CREDENTIALS] * 2 + [ContactRefusal.BUSY]
    assert line.refused.retryAfter


async def test_an_os12_device_registers(world: World, autojump_clock: MockClock) -> None:
    """It is an OS 11 device from then on: its certificates are revoked and its session ends."""
    endpoint, _, line = await world.device()
    device = Os11Endpoint(world, endpoint.number)
    await device.register(user="ann", password=PASSWORD)
    closed = await line.closed()
    view = await device.view()

    assert closed.code == CloseCode.REFUSED
    assert view.generation == "11"
    assert [one.state for one in view.certificates] == ["revoked"]
    (moved,) = await world.events("generation-changed")
    assert (moved.data["before"], moved.data["now"]) == ("12", "11")
