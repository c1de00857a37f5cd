# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.dial_tls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from umslab_protocol.values.host_port import HostPort
from umslab_runtime.dial_tls import dial_tls
from umslab_runtime.net_trio import TrioNetwork
from umslab_runtime.network import DialError, DialProblem
from umslab_runtime.policy import TargetRefusedError
from umslab_runtime.tls import TLSBrokenError, TLSError, TLSProblem

from .carriers import PATIENCE, MemoryCarrier
from .pki import UNIT_ID

if TYPE_CHECKING:
    from trio.testing import MockClock

    from umslab_runtime.network import Listener
    from umslab_runtime.tls import TLSStream

    from .carriers import Carrier
    from .pki import Pki


async def serve_one(listener: Listener, pki: Pki) -> None:
    """Shake hands with one client, say what its certificate is, and close."""
    transport = await listener.accept()
    stream = transport.wrap_tls(pki.server_context(), server_side=True)
    await stream.do_handshake()
    await stream.send_all(stream.peer_certificate or b"nobody")
    await stream.aclose()


async def receive_all(stream: TLSStream) -> bytes:
    """Receive to the end and close."""
    data = b"".join([bytes(part) async for part in stream])
    await stream.aclose()
    return data


async def test_returns_a_stream_that_is_ready(carrier: Carrier, pki: Pki) -> None:
    """The handshake is done, the server's name was checked, and what `prepare` loaded was presented."""
    listener = await carrier.listen()
    context = pki.client_context()
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_one, listener, pki)
            stream = await dial_tls(
                carrier.client,
                carrier.target(listener),
                context,
                within=PATIENCE,
                prepare=lambda: context.load_cert_chain(pki.device),
            )
            version, said = stream.version, await receive_all(stream)
    listener.close()

    assert b"nobody" != said
    assert "TLSv1.3" == version


async def test_failed_preparation_closes(carrier: Carrier, pki: Pki) -> None:
    """When the identity cannot be loaded, the connection that was to carry it is gone."""
    listener = await carrier.listen()
    context = pki.client_context()
    with trio.fail_after(PATIENCE):
        with pytest.raises(FileNotFoundError):
            await dial_tls(
                carrier.client,
                carrier.target(listener),
                context,
                within=PATIENCE,
                prepare=lambda: context.load_cert_chain(pki.folder / "nowhere.pem"),
            )
        server = await listener.accept()

        assert b"" == await server.receive_some()
        server.abort()
    listener.close()


async def test_dial_errors_pass_through(carrier: Carrier, pki: Pki) -> None:
    """What the network says about a failed dial is what the caller hears."""
    listener = await carrier.listen()
    target = carrier.target(listener)
    listener.close()

    with pytest.raises(DialError) as refused:
        await dial_tls(carrier.client, target, pki.client_context(), within=PATIENCE)
    assert DialProblem.REFUSED is refused.value.problem


async def test_policy_is_asked_for_the_device(pki: Pki) -> None:
    """The unit ID reaches the target policy."""
    with pytest.raises(TargetRefusedError):
        await dial_tls(
            TrioNetwork(), HostPort("192.168.0.1", 1), pki.client_context(), within=PATIENCE, unit_id=UNIT_ID
        )


async def test_refused_certificate_shows_at_the_first_read(carrier: Carrier, pki: Pki) -> None:
    """In TLS 1.3 a server that refuses our certificate says so only after our side of the handshake is done."""
    listener = await carrier.listen()

    async def refuse() -> None:
        with pytest.raises(TLSError):
            await serve_one(listener, pki)

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(refuse)
            context = pki.client_context(pki.device_of(pki.root))
            stream = await dial_tls(carrier.client, carrier.target(listener), context, within=PATIENCE)
            with pytest.raises(TLSBrokenError) as told:
                await stream.receive_some()
            await stream.aclose()
    listener.close()

    assert 48 == told.value.tls.alert


async def test_silent_firewall(pki: Pki, autojump_clock: MockClock) -> None:
    """A dial that is not answered ends in time, with the seconds in its message."""
    carrier = MemoryCarrier()
    listener = await carrier.listen()
    carrier.network.partition("client", "ums.lab")

    with pytest.raises(DialError, match=r"ums\.lab:\d+: no answer within 7\.5 seconds") as silent:
        await dial_tls(carrier.client, carrier.target(listener), pki.client_context(), within=7.5)
    assert DialProblem.TIMEOUT is silent.value.problem
    assert 7.5 == trio.current_time()
    listener.close()


async def test_server_that_never_speaks_tls(pki: Pki, autojump_clock: MockClock) -> None:
    """A server that accepts and says nothing is left in time, and told so by the end of the connection."""
    carrier = MemoryCarrier()
    listener = await carrier.listen()

    with pytest.raises(TLSError, match="connected, but no TLS answer within 7 seconds") as silent:
        await dial_tls(carrier.client, carrier.target(listener), pki.client_context(), within=7)
    assert TLSProblem.SILENT is silent.value.problem
    server = await listener.accept()
    assert await server.receive_some()
    assert b"" == await server.receive_some()
    server.abort()
    listener.close()


async def test_cancelled_dial_leaves_nothing(carrier: Carrier, pki: Pki) -> None:
    """A dial that is given up in the handshake closes its connection."""
    listener = await carrier.listen()
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            target = carrier.target(listener)

            async def dial() -> None:
                await dial_tls(carrier.client, target, pki.client_context(), within=PATIENCE)

            nursery.start_soon(dial)
            server = await listener.accept()
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert await server.receive_some()
        assert b"" == await server.receive_some()
        server.abort()
    listener.close()
