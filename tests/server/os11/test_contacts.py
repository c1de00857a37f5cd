# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.os11.contacts: who may come in on TCP 30001, and what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from tests.server.parts import EPOCH, Endpoint
from umslab_certs.device_communication import make_self_signed
from umslab_certs.keys import KeyType
from umslab_certs.tls import exact_context_12
from umslab_protocol.machines.carrier import Closed
from umslab_protocol.values.auth_key import KeyKind
from umslab_protocol.values.device_key import DeviceKey
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.inventory import DeviceInfo
from umslab_protocol.wire.messages import Ack, Deregister, PullSettings, SettingsMessage, Welcome
from umslab_protocol.wire.os11 import ContactRefusal
from umslab_runtime.tls import TLSError
from umslab_server.enrolment import Issued
from umslab_server.registering import count_generations

from .endpoint import FIRMWARE, Os11Endpoint

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.server.world import World


async def registered(world: World, number: int = 1) -> Os11Endpoint:
    """A device that has registered and hung up."""
    device = Os11Endpoint(world, number)
    await (await device.register()).goodbye()
    return device


async def refusal(device: Os11Endpoint) -> ContactRefusal:
    """How the server refuses a contact."""
    line, answer = await device.contact()

    assert isinstance(answer, Closed)
    return line.refused.refusal


async def test_boot(rollout: World, autojump_clock: MockClock) -> None:
    """G1, G2: it tells its state, asks for its settings and gets them; its welcome names the port of files."""
    device = await registered(rollout)
    device.boot = 2
    line, welcome = await device.contact()
    info = DeviceInfo(unitID=device.unit_id, mac=device.unit_id, firmwareVersion=FIRMWARE, productId="UD3-LX 11")
    told = await line.tell(info)
    await line.send(PullSettings(id=2))
    settings = await line.next()

    assert isinstance(welcome, Welcome)
    assert str(welcome.fileTransferPort) == rollout.ready.file_transfer_addresses[0].rpartition(":")[2]
    assert isinstance(told, Ack)
    assert isinstance(settings, SettingsMessage)
    assert (await device.view()).info["productId"] == "UD3-LX 11"
    assert [event.data["boot"] for event in await rollout.events("device-booted")] == ["1", "2"]
    assert [event.data["address"] for event in await rollout.events("device-contact")] == ["devices"]


async def test_a_contact_is_no_presence(rollout: World, autojump_clock: MockClock) -> None:
    """Whether it is online is for the online check to say; an end as usual is no event."""
    device = await registered(rollout)
    line, _ = await device.contact()
    presence = rollout.services.presence.is_online(device.unit_id)
    contacts = rollout.services.reach.contacts
    await line.goodbye()
    await trio.testing.wait_all_tasks_blocked()

    assert not presence
    assert (contacts, rollout.services.reach.contacts) == (1, 0)
    assert await rollout.events("device-disconnected", "contact-broken") == []


async def test_a_contact_that_breaks_off(rollout: World, autojump_clock: MockClock) -> None:
    """Is noted, with the reason."""
    device = await registered(rollout)
    line, _ = await device.contact()
    await line.hang_up()
    await trio.sleep(1)

    assert [event.data["code"] for event in await rollout.events("contact-broken")] == [CloseCode.ABNORMAL]


async def test_unknown_and_other_refusals(rollout: World, autojump_clock: MockClock) -> None:
    """L5, L7: a device that the registry does not know is told so, one with another key is told something else."""
    device = await registered(rollout)
    stranger = Os11Endpoint(rollout, 2, pin=device.pin)
    forger = Os11Endpoint(rollout, 1, key=DeviceKey(bytes(32)), pin=device.pin)

    assert await refusal(stranger) is ContactRefusal.UNKNOWN_DEVICE
    assert await refusal(forger) is ContactRefusal.BAD_PROOF
    assert len(await rollout.events("contact-refused")) == 2
    assert await rollout.events("device-contact") == []


async def test_deleted_while_away(rollout: World, autojump_clock: MockClock) -> None:
    """L4: it is let in once more, told that it was deleted, and unknown from then on."""
    device = await registered(rollout)
    await rollout.services.registry.purge(device.unit_id, actor="ann")
    line, _ = await device.contact()
    told = await line.next()
    assert isinstance(told, Deregister)
    await line.send(Ack(re=told.id))

    assert (await line.closed()).code == CloseCode.DEREGISTERED
    await trio.testing.wait_all_tasks_blocked()
    assert await refusal(device) is ContactRefusal.UNKNOWN_DEVICE


async def test_moved_to_the_unified_protocol(rollout: World, autojump_clock: MockClock) -> None:
    """O6: one that enrols by EST is an OS 12 device; its key opens nothing, and it is not called unknown."""
    device = await registered(rollout)
    line, _ = await device.contact()
    (key,) = await rollout.services.keys.create(KeyKind.ONE_TIME, actor="ann")
    answer = await rollout.services.enrolment.enrol(Endpoint(1).request, key.secret or "", "here")
    closed = await line.closed()
    view = await device.view()
    why = await rollout.services.why.explain(device.unit_id)

    assert isinstance(answer, Issued)
    assert closed.code == CloseCode.REFUSED
    assert view.generation == "12"
    assert await refusal(device) is ContactRefusal.REFUSED
    assert any("Unified Protocol (O6)" in one for one in why)
    assert await rollout.services.store.read(count_generations) == {"12": 1, "11": 0}


async def test_another_certificate_is_refused_by_the_device(rollout: World, autojump_clock: MockClock) -> None:
    """G9: a device takes only the server it has pinned; nothing is sent to another."""
    other, _ = make_self_signed(KeyType.P256, now=EPOCH)
    device = await registered(rollout)
    with pytest.raises(TLSError):
        await device.dial(exact_context_12(other, check_time=False))
