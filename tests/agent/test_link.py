# SPDX-License-Identifier: Apache-2.0
"""A link is an open session or a clear refusal, in bounded time, and leaves nothing open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from tests.support.greeting import hello
from tests.support.scripted import Scripted, open_scripted
from umslab_agent.contexts import TlsContexts
from umslab_agent.link import CONNECT_TIMEOUT, SessionRefused, TlsIdentity, open_link
from umslab_certs.csr import build_request, read_request
from umslab_certs.identity import save_identity
from umslab_certs.keys import KeyType, generate_key
from umslab_certs.tls import use_identity
from umslab_protocol.errors import RemoteProtocolError
from umslab_protocol.values.unit_id import UnitId
from umslab_protocol.wire.codec import JsonCodec
from umslab_runtime.http import Request, Response, Upgrade, text_response
from umslab_runtime.session_host import open_session_host
from umslab_runtime.tls import TLSError

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

UNIT_ID = UnitId("02AABBCCDDEE")


async def _open_error(server: Scripted, path: Path) -> Exception:
    """Try to open a link; return the error it ends in."""
    key = generate_key(KeyType.P256)
    request = read_request(build_request(UNIT_ID, key))
    file = path / "identity.pem"
    save_identity(file, key, [server.clients.issue_device(request, now=server.clock.utc())])
    context = TlsContexts(check_time=False).pinned([server.root.certificate], [], KeyType.P256)
    async with open_session_host(server.clock, write_seconds=20) as host:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - each test looks at it
            await open_link(
                server.devices,
                server.target,
                TlsIdentity(context, lambda: use_identity(context, file)),
                hello=hello(UNIT_ID),
                key=b"0123456789abcdef",
                codec=JsonCodec(),
                host=host,
            )
    return caught.value


async def test_a_refusal_is_the_servers_own_answer(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Status and text reach the caller; the certificate was presented."""
    async with open_scripted(tmp_path) as server:
        server.answers["ws-connect"] = text_response(503, "not now")
        error = await _open_error(server, tmp_path)

        assert isinstance(error, SessionRefused)
        assert (503, b"not now\n") == (error.response.status, error.response.body)
        assert server.requests[0].peer.certificate is not None


async def test_a_200_is_no_session(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A page that says yes to everything is a refusal too."""
    async with open_scripted(tmp_path) as server:
        server.answers["ws-connect"] = Response(200, [], b"welcome")

        assert isinstance(await _open_error(server, tmp_path), SessionRefused)


async def test_a_server_that_hangs_is_left_after_45_seconds(tmp_path: Path, autojump_clock: MockClock) -> None:
    """W10, also when the connection stands and the answer does not come."""
    async with open_scripted(tmp_path) as server:

        def hang(request: Request) -> Response:
            server.network.partition("ums.lab", "device")
            return Response(200)

        server.answers["ws-connect"] = hang
        began = trio.current_time()
        error = await _open_error(server, tmp_path)

        assert isinstance(error, TLSError)
        assert CONNECT_TIMEOUT == pytest.approx(trio.current_time() - began)


async def test_a_101_that_understood_nothing(tmp_path: Path, autojump_clock: MockClock) -> None:
    """An upgrade without our accept value is an error of the server."""
    async with open_scripted(tmp_path) as server:

        async def run(stream: object, first_bytes: bytes, /) -> None:
            await trio.sleep_forever()

        upgrade = Upgrade([("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", "no")], run)

        def misunderstand(request: Request) -> Upgrade:
            return upgrade

        server.answers["ws-connect"] = misunderstand
        error = await _open_error(server, tmp_path)

        assert isinstance(error, RemoteProtocolError)
        assert "Accept" in error.reason
