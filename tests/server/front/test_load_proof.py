# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.front.load_proof, over the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.server.world import open_world
from umslab_certs.chain import parse_certificate
from umslab_certs.load_proof import check_load_proof
from umslab_protocol.wire import paths
from umslab_protocol.wire.load_proof import read_answer, write_request

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

NONCE = bytes(32)


async def test_started_for_load(tmp_path: Path, autojump_clock: MockClock) -> None:
    """It proves it with the certificate of the connection; who asks wrongly is told."""
    async with open_world(tmp_path, for_load=True) as world:
        stream = await world.dial()
        presented = stream.peer_certificate
        await stream.aclose()
        answer = await world.call("POST", paths.LOAD_PROOF, body=write_request(NONCE))
        wrong = await world.call("POST", paths.LOAD_PROOF, body=b"{}")
        method = await world.call("GET", paths.LOAD_PROOF)

    assert presented is not None
    check_load_proof(parse_certificate(presented), NONCE, read_answer(answer.body))
    assert (200, 400, 405) == (answer.status, wrong.status, method.status)
    assert "no-store" == answer.header("cache-control")


async def test_not_started_for_load(tmp_path: Path, autojump_clock: MockClock) -> None:
    """There is no such path."""
    async with open_world(tmp_path) as world:
        assert 404 == (await world.call("POST", paths.LOAD_PROOF, body=write_request(NONCE))).status
