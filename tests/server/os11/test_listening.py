# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.os11.listening: the bounds of TCP 30001."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from tests.server.world import config, open_world
from umslab_certs.tls import blind_context_12
from umslab_protocol.machines.carrier import Closed
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.messages import Welcome
from umslab_protocol.wire.os11 import ContactRefusal
from umslab_runtime.limits import Limits
from umslab_server.service_model import Distribution, ServiceModel, ServiceTime, ServiceTimes

from .conftest import ROLLOUT
from .endpoint import Os11Endpoint

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from tests.server.world import World


KINDS = ServiceTimes.__struct_fields__


async def test_crowded(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The connection limit counts all ports together; one too many is told to come back."""
    chosen = config(enrolment=ROLLOUT.enrolment, limits=Limits(connections=1))
    async with open_world(tmp_path, chosen) as world:
        device = Os11Endpoint(world)
        idle = await world.dial()
        line, answer = await device.ask()
        await idle.aclose()
        await trio.testing.wait_all_tasks_blocked()
        _, later = await device.ask()

    assert isinstance(answer, Closed)
    assert line.refused.refusal is ContactRefusal.BUSY
    assert isinstance(later, Welcome)


async def test_the_end_of_the_server(rollout: World, autojump_clock: MockClock) -> None:
    """A device in contact is told goodbye."""
    line = await Os11Endpoint(rollout).register()
    rollout.server.stop()

    assert (await line.closed()).code == CloseCode.GOING_AWAY
    await rollout.ready.over.wait()


async def test_silent_caller(rollout: World, autojump_clock: MockClock) -> None:
    """Who says nothing after the handshake is let go."""
    device = Os11Endpoint(rollout)
    stream = await device.dial(blind_context_12())
    begin = trio.current_time()
    while await stream.receive_some():
        pass

    assert 10 <= trio.current_time() - begin < 20


def _model(**means: float) -> ServiceModel:
    kinds = {kind: ServiceTime(mean=means.get(kind, 0.0), distribution=Distribution.CONSTANT) for kind in KINDS}
    return ServiceModel(workers=1, queue=0, retry_after_seconds=7.5, times=ServiceTimes(**kinds))


async def test_registrations_and_contacts_take_their_turns(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Of a server that is slow on purpose, each with a time of its own; so does the hello that comes with them."""
    model = _model(register=3.0, contact=2.0, hello=1.0)
    async with open_world(tmp_path, config(enrolment=ROLLOUT.enrolment), service_model=model) as world:
        device, took = Os11Endpoint(world), []
        for ask in (device.ask, device.contact):
            began = trio.current_time()
            line, answer = await ask()
            assert isinstance(answer, Welcome)
            took.append(trio.current_time() - began)
            await line.hang_up()

    assert [4, 3] == [round(seconds) for seconds in took]


async def test_a_full_queue_is_busy(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Who finds it full is refused as `busy`, with the delay of the model, and counted; nothing is kept of it."""
    async with open_world(tmp_path, config(enrolment=ROLLOUT.enrolment), service_model=_model(register=5.0)) as world:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Os11Endpoint(world, 1).register)
            await trio.sleep(1)
            line, answer = await Os11Endpoint(world, 2).ask()
        known = [one.unit_id for one in await world.services.registry.list_devices()]

    assert isinstance(answer, Closed)
    assert (ContactRefusal.BUSY, 7.5) == (line.refused.refusal, line.refused.retryAfter)
    assert 1 == len(known)
