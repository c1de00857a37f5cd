# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.front.automatic, over the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.server.parts import Endpoint, unit_id
from tests.server.world import config, open_world
from umslab_protocol.values.est_address import EstAddress
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.wire import paths
from umslab_protocol.wire.registration_token import read_answer, write_request
from umslab_server.config import ConnectorsConfig, EnrolmentConfig

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

ON = EnrolmentConfig(automatic=True)


async def test_token_and_certificate(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A device without a key enrols."""
    async with open_world(tmp_path, config(enrolment=ON)) as world:
        answer = await world.call("POST", paths.REGISTRATION_TOKEN, body=write_request(unit_id(1)))

        assert (200, "no-store") == (answer.status, answer.header("cache-control"))
        assert 200 == (await world.enrol(Endpoint(1), read_answer(answer.body)[0])).status


async def test_where_to_enrol(tmp_path: Path, autojump_clock: MockClock) -> None:
    """S7: an address of its own for enrolment comes with the token."""
    addresses = ConnectorsConfig(enrolment_address="enrol.lab/est")
    async with open_world(tmp_path, config(enrolment=ON, connectors=addresses)) as world:
        answer = await world.call("POST", paths.REGISTRATION_TOKEN, body=write_request(unit_id(1)))

        assert EstAddress(HostPort("enrol.lab", 8443), "/est") == read_answer(answer.body)[1]


async def test_off(tmp_path: Path, autojump_clock: MockClock) -> None:
    """It says why not, and later how long to wait."""
    async with open_world(tmp_path) as world:
        answers = [await world.call("POST", paths.REGISTRATION_TOKEN, body=write_request(unit_id(1))) for _ in range(8)]

        assert 403 == answers[0].status
        assert b"automatic registration is off" in answers[0].body
        assert 429 == answers[-1].status
        assert answers[-1].header("retry-after") is not None


@pytest.mark.parametrize("body", [b"", b"{}", b'{"unitID": "no"}'])
async def test_bad_requests(tmp_path: Path, autojump_clock: MockClock, body: bytes) -> None:
    """They are told so; and the path knows POST only."""
    async with open_world(tmp_path) as world:
        assert 400 == (await world.call("POST", paths.REGISTRATION_TOKEN, body=body)).status
        assert 405 == (await world.call("GET", paths.REGISTRATION_TOKEN)).status
