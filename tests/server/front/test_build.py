# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.front.build: what the configuration says is what the front does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.server.world import config, open_world
from umslab_protocol.wire import paths
from umslab_protocol.wire.codec import JsonCodec
from umslab_protocol.wire.messages import Heartbeat, Welcome
from umslab_runtime.session_host import open_session_host
from umslab_server.config import EnrolmentConfig, HeartbeatConfig
from umslab_server.front.build import Front, build_front
from umslab_server.front.est import BasicAuthentication
from umslab_server.front.turns import QueuedSessions, Turns
from umslab_server.service_model import ServiceModel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.server.world import World
    from umslab_server.config import ServerConfig


async def front(world: World, chosen: ServerConfig, model: ServiceModel | None = None) -> Front:
    """The front of a server that is configured like this."""
    async with open_session_host(world.services.registry._store._clock, write_seconds=1.0) as host:
        return build_front(
            chosen,
            world.services,
            host,
            codec=JsonCodec(),
            authentication=BasicAuthentication(),
            version="test",
            server_name="test",
            turns=None if model is None else Turns(model, host.clock),
        )
    raise AssertionError("a session host is not left early")


@pytest.mark.parametrize("alias", [True, False])
async def test_paths(tmp_path: Path, alias: bool) -> None:  # noqa: FBT001
    """EST at RFC 7030's own place where it is wanted."""
    chosen = config(enrolment=EnrolmentConfig(alias=alias))
    async with open_world(tmp_path) as world:
        table = (await front(world, chosen)).router._table

    assert alias == (f"{paths.EST_ALIAS}/cacerts" in table)
    assert {paths.WS_CONNECT, paths.INFO, paths.CHECK_STATUS, paths.REGISTRATION_TOKEN, f"{paths.EST}/cacerts"} < set(
        table
    )


async def test_nothing_waits_without_a_model(tmp_path: Path) -> None:
    """The services are asked directly; with a model they are behind its queue."""
    async with open_world(tmp_path) as world:
        plain, slow = await front(world, config()), await front(world, config(), ServiceModel())

        assert plain.turns is None
        assert plain.ws_connect._service is world.services.sessions
        assert plain.router._table[f"{paths.EST}/cacerts"]["GET"] == plain.est.cacerts
        assert slow.turns is not None
        assert isinstance(slow.ws_connect._service, QueuedSessions)
        assert slow.router._table[f"{paths.EST}/cacerts"]["GET"] != slow.est.cacerts


async def test_heartbeat(tmp_path: Path) -> None:
    """Told in welcome when it is on, in seconds."""
    on = config(heartbeat=HeartbeatConfig(enabled=True, interval_hours=2, offset_minutes=10))
    told = []
    for chosen in (config(), on):
        async with open_world(tmp_path, chosen) as world:
            _, _, line = await world.device()
            told += [message.heartbeat for message in line.heard if isinstance(message, Welcome)]
            await line.hang_up()

    assert [None, Heartbeat(intervalSeconds=7200, offsetSeconds=600)] == told
