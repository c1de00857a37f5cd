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

from .conftest import ROLLOUT
from .endpoint import Os11Endpoint

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from tests.server.world import World


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
