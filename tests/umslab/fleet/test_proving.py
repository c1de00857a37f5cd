# SPDX-License-Identifier: Apache-2.0
"""A server outside this machine proves that it was started for load, or the limits stay."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from tests.server.parts import EPOCH
from tests.server.world import open_world
from umslab.fleet.proving import NO_PROOF, NotProvedError, check_proof
from umslab_agent.trust import TrustMode
from umslab_certs.chain import fingerprint
from umslab_protocol.values.fingerprint import CommunicationToken
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.wire import paths
from umslab_protocol.wire.load_proof import write_answer
from umslab_protocol.wire.transfer import Wrapping, encode_body
from umslab_runtime.clock import VirtualClock
from umslab_runtime.connections import ConnectionServer
from umslab_runtime.http import Request, Response
from umslab_runtime.limits import Limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from trio.testing import MockClock

    from tests.server.world import World

NONCE, OLD = b"n" * 32, b"o" * 32


async def _refusal(world: World, mode: TrustMode, target: HostPort | None = None) -> str:
    """Return why there is no proof; nothing when there is one."""
    try:
        await check_proof(world.network, target or world.target, mode, nonce=NONCE, now=EPOCH)
    except NotProvedError as why:
        return str(why)
    return ""


def _mode(world: World) -> TrustMode:
    return TrustMode(token=world.services.certificates.token)


async def test_it_proves_it(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Known by its token or by the whole hash of its root."""
    async with open_world(tmp_path, for_load=True) as world:
        by_hash = TrustMode(ca_hash=fingerprint(world.services.certificates.root))

        assert ["", ""] == [await _refusal(world, mode) for mode in (_mode(world), by_hash)]


async def test_not_started_for_load(tmp_path: Path, autojump_clock: MockClock) -> None:
    """As every real UMS."""
    async with open_world(tmp_path) as world:
        assert NO_PROOF == await _refusal(world, _mode(world))


async def test_another_server(tmp_path: Path, autojump_clock: MockClock) -> None:
    """One that would prove it, and is not the one that the user named."""
    async with open_world(tmp_path, for_load=True) as world:
        other = TrustMode(token=CommunicationToken("0123456789ABCDEF"))

        assert "communication token" in await _refusal(world, other)


async def test_nobody_vouches(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Trust on first use is no knowledge of who it is: nothing is sent."""
    async with open_world(tmp_path, for_load=True) as world:
        why = await _refusal(world, TrustMode(first_use=True))

        assert "--token" in why


@asynccontextmanager
async def _answering(world: World, body: bytes) -> AsyncIterator[HostPort]:
    """A server with the certificate and the root of this one, which answers every request for a proof with this."""

    async def answer(request: Request) -> Response:
        if request.path == paths.LOAD_PROOF:
            return Response(200, [], body)
        return Response(200, [], encode_body(world.services.certificates.ca_certificates(), Wrapping.ONE_LINE, ""))

    network = world.memory.host("other.lab")
    listener = await network.listen("other.lab", 8443)
    server = ConnectionServer(
        answer,
        context=world.services.certificates.context,
        limits=Limits(),
        clock=VirtualClock(EPOCH),
        server_name="test",
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve, [listener])
        yield HostPort("other.lab", 8443)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("kind", ["forged", "replayed", "passed on", "noise", "nothing"])
async def test_false_proofs(tmp_path: Path, autojump_clock: MockClock, kind: str) -> None:
    """Even with the right certificate: an invented signature, an old one, that of another server, no JSON, nothing."""
    async with open_world(tmp_path / "one") as world, open_world(tmp_path / "two", for_load=True) as other:
        old = await world.services.certificates.prove_load(OLD)
        passed = await other.services.certificates.prove_load(NONCE)
        body = {
            "forged": write_answer(b"0" * 70),
            "replayed": write_answer(old),
            "passed on": write_answer(passed),
            "noise": b"\xff" * 50,
            "nothing": b"",
        }[kind]
        async with _answering(world, body) as target:
            why = await _refusal(world, _mode(world), target)

    assert "gives no proof" in why


async def test_the_right_answer_would_do(tmp_path: Path, autojump_clock: MockClock) -> None:
    """So the false ones were refused for what they are."""
    async with open_world(tmp_path) as world:
        good = write_answer(await world.services.certificates.prove_load(NONCE))
        async with _answering(world, good) as target:
            assert "" == await _refusal(world, _mode(world), target)


async def test_nobody_there(tmp_path: Path, autojump_clock: MockClock) -> None:
    """In words, soon."""
    async with open_world(tmp_path, for_load=True) as world:
        world.memory.host("mute.lab")

        assert "no proof" in await _refusal(world, _mode(world), HostPort("mute.lab", 1))
