# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.os11.calls and of umslab_server.reach: settings, commands and deletions over TCP 30005."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from tests.server.world import open_world
from umslab_protocol.machines.carrier import Closed
from umslab_protocol.values.device_key import DeviceKey
from umslab_protocol.wire.messages import Command, Deregister, PullSettings, SettingsMessage, Welcome
from umslab_protocol.wire.orders import CommandName
from umslab_server.commanding.selectors import Selector
from umslab_server.configuration.reconcile import When
from umslab_server.os11.calls import AWAY_SECONDS

from .conftest import ROLLOUT
from .endpoint import Os11Endpoint

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from tests.server.world import World


async def settle() -> None:
    """Let calls be made, answered and ended; in virtual time."""
    await trio.sleep(5)


async def registered(world: World, number: int = 1) -> Os11Endpoint:
    """A device that has registered and hung up; it listens where it did then, if it did."""
    return await register(Os11Endpoint(world, number))


async def register(device: Os11Endpoint) -> Os11Endpoint:
    """Register a device, and let it ask for its first settings, as a boot does."""
    line = await device.register()
    await line.send(PullSettings(id=1))
    settings = await line.next()
    assert not isinstance(settings, Closed)
    await device.obey(line, settings)
    await line.goodbye()
    await settle()
    return device


async def change(world: World, value: str) -> None:
    """Change a setting of everybody."""
    await world.services.profiles.edit("global", {"x.y": value}, [], actor="ann", when=When.NOW)


async def order(world: World, *devices: Os11Endpoint, retry_at_boot: bool = False) -> str:
    """Give a command; return its execution ID."""
    selector = Selector(unit_ids=[device.unit_id for device in devices])
    return await world.services.commands.start(CommandName.REBOOT, selector, actor="ann", retry_at_boot=retry_at_boot)


async def told(world: World, exec_id: str) -> list[tuple[str, str]]:
    """States and messages of a command, when all that can happen now has happened."""
    await settle()
    return [(one.state, one.message) for one in (await world.services.commands.results(exec_id))[1]]


async def test_a_command(rollout: World, autojump_clock: MockClock) -> None:
    """It is called, does it, and the result is kept; then the server says goodbye."""
    device = Os11Endpoint(rollout)
    async with device.listening():
        await register(device)
        exec_id = await order(rollout, device)

        assert await told(rollout, exec_id) == [("SUCCESS", "done")]
        assert [exec_id] == device.done
        assert rollout.services.reach.contacts == 0
        assert len(await rollout.events("device-called")) == 1


async def test_one_call_for_all(rollout: World, autojump_clock: MockClock) -> None:
    """What is to be told while a device is being called rides on the same connection."""
    device = Os11Endpoint(rollout)
    async with device.listening():
        await register(device)
        exec_ids = [await order(rollout, device) for _ in range(5)]
        for exec_id in exec_ids:
            assert await told(rollout, exec_id) == [("SUCCESS", "done")]

        assert sorted(exec_ids) == sorted(device.done)
        assert len(device.calls) == 1


async def test_a_call_rides_on_a_contact(rollout: World, autojump_clock: MockClock) -> None:
    """A device that is in contact is not called."""
    device = Os11Endpoint(rollout)
    line = await device.register()
    exec_id = await order(rollout, device)
    command = await line.next()
    assert isinstance(command, Command)
    await device.obey(line, command)

    assert await told(rollout, exec_id) == [("SUCCESS", "done")]
    assert await rollout.events("device-called", "call-failed") == []
    await line.goodbye()


async def test_nobody_listens(rollout: World, autojump_clock: MockClock) -> None:
    """The command fails as for an OS 12 device that is away, and the feed says why; it is left alone for a while."""
    device = await registered(rollout)
    first = await told(rollout, await order(rollout, device))
    second = await told(rollout, await order(rollout, device))
    failures = await rollout.events("call-failed")
    await trio.sleep(AWAY_SECONDS)
    await told(rollout, await order(rollout, device))

    assert first == second == [("FAILED", "the device is offline")]
    assert len(failures) == 1
    assert "nothing listens there" in failures[0].cause
    assert len(await rollout.events("call-failed")) == 2


async def test_at_the_next_boot(rollout: World, autojump_clock: MockClock) -> None:
    """What could not be told waits for the boot, and is told in that contact."""
    device = await registered(rollout)
    exec_id = await order(rollout, device, retry_at_boot=True)
    before = await told(rollout, exec_id)
    device.boot = 2
    line, _ = await device.contact()
    command = await line.next()
    assert isinstance(command, Command)
    await device.obey(line, command)

    assert before == [("at-next-boot", "waits for the next boot of the device")]
    assert await told(rollout, exec_id) == [("SUCCESS", "done")]
    await line.goodbye()


async def test_settings(rollout: World, autojump_clock: MockClock) -> None:
    """A change reaches a device that had settings before: it is called, keeps them, and that is known."""
    device = Os11Endpoint(rollout)
    async with device.listening():
        await register(device)
        await change(rollout, "1")
        await settle()
        view = await device.view()

        assert [one.settings for one in device.kept] == [{}, {"x.y": "1"}]
        assert (view.config_changes, view.applied_version) == ("APPLIED", device.kept[-1].version)
        assert len(device.calls) == 1


async def test_a_device_that_is_up_to_date_is_told_nothing(rollout: World, autojump_clock: MockClock) -> None:
    """A command brings no settings along."""
    device = Os11Endpoint(rollout)
    async with device.listening():
        await register(device)
        await told(rollout, await order(rollout, device))

        assert [type(one) for one in device.calls[0]] == [Welcome, Command]


async def test_a_push_that_breaks_off(rollout: World, autojump_clock: MockClock) -> None:
    """A device that dies with the new settings in its hands has the old ones, and gets the new ones when it boots."""
    device = Os11Endpoint(rollout)
    device.dies = True
    async with device.listening():
        await register(device)
        await change(rollout, "1")
        await settle()
        pending = (await device.view()).config_changes
        device.dies, device.boot = False, 2
        line, _ = await device.contact()
        await line.send(PullSettings(id=1, version=1, digest=device.kept[-1].digest))
        settings = await line.next()
        assert isinstance(settings, SettingsMessage)
        await device.obey(line, settings)
        await line.goodbye()
        await settle()
        view = await device.view()

    assert pending == "PENDING"
    assert len(device.calls) == 1  # and was not called again and again
    assert len(await rollout.events("contact-broken")) == 1
    assert [one.settings for one in device.kept] == [{}, {"x.y": "1"}]
    assert view.config_changes == "APPLIED"


async def test_settings_for_one_that_cannot_be_called(rollout: World, autojump_clock: MockClock) -> None:
    """It is tried once; the rest is for its next boot."""
    device = await registered(rollout)
    await change(rollout, "1")
    await change(rollout, "2")
    await settle()

    assert len(await rollout.events("call-failed")) == 1
    assert (await device.view()).config_changes == "PENDING"
    assert any("can be called" in one for one in await rollout.services.why.explain(device.unit_id))


async def test_deleted(rollout: World, autojump_clock: MockClock) -> None:
    """L4: a device that can be called is told at once, although its row is gone."""
    device = Os11Endpoint(rollout)
    async with device.listening():
        await register(device)
        await rollout.services.registry.purge(device.unit_id, actor="ann")
        await settle()

        assert any(isinstance(one, Deregister) for one in device.calls[0])
        assert len(await rollout.events("device-deregistered")) == 1


async def test_another_key_or_certificate(rollout: World, autojump_clock: MockClock) -> None:
    """G12: whoever listens there and is not the device is told nothing."""
    first, second = Os11Endpoint(rollout, 1), Os11Endpoint(rollout, 2)
    async with first.listening(), second.listening():
        for device in (first, second):
            await register(device)
        first.key = DeviceKey(bytes(32))
        await rollout.services.store.change(
            lambda writer: writer.connection.exec_driver_sql(
                "UPDATE device SET push_port = ? WHERE unit_id = ?", (first.push_port, second.unit_id)
            )
        )
        exec_id = await order(rollout, first, second)

        assert await told(rollout, exec_id) == [("FAILED", "the device is offline")] * 2
        assert first.done == second.done == []
        assert len(await rollout.events("call-failed")) == 2


async def test_a_command_survives_the_server(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A server that is killed before the result sends it again when the device is back."""
    async with open_world(tmp_path, ROLLOUT) as world:
        device = Os11Endpoint(world)
        line = await device.register()
        exec_id = await order(world, device)
        assert isinstance(await line.next(), Command)
        world.scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
    async with open_world(tmp_path, ROLLOUT) as world:
        device.world = world
        line, _ = await device.contact()
        command = await line.next()
        assert isinstance(command, Command)
        await device.obey(line, command)

        assert await told(world, exec_id) == [("SUCCESS", "done")]
        await line.goodbye()


async def test_a_restarted_server_calls(tmp_path: Path, autojump_clock: MockClock) -> None:
    """What was sent and not answered when the server was killed is taken up by calling the device."""
    async with open_world(tmp_path, ROLLOUT) as world:
        device = Os11Endpoint(world)
        await device.open()
        line = await device.register()
        exec_id = await order(world, device)
        assert isinstance(await line.next(), Command)
        world.scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
    async with open_world(tmp_path, ROLLOUT, memory=world.memory) as world:
        device.world = world
        async with device.listening():
            assert await told(world, exec_id) == [("SUCCESS", "done")]
            assert [exec_id] == device.done
