# SPDX-License-Identifier: Apache-2.0
"""Arbitrary bytes as answers to the HTTP client: an answer, `RemoteProtocolError` or a broken stream, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.runtime.carriers import MemoryCarrier, tls_pair
from tests.runtime.pki import Pki, make_pki
from umslab_protocol.errors import RemoteProtocolError
from umslab_runtime.http_client import MAX_BODY_BYTES, HttpClientConnection, Opened

if TYPE_CHECKING:
    from umslab_runtime.http import Response

WORDS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 204 \r\n\r\n",
    b"HTTP/1.1 200",
    b"HTTP/1.0 200",
    b"HTTP/1.1 999",
    b"\r\n",
    b"\r\n\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"fffff\r\n",
    b"hello",
    b"x" * 40_000,
    b"\xff",
]
answers = st.lists(st.sampled_from(WORDS) | st.binary(max_size=30), max_size=10)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Identities for the connections."""
    return make_pki(tmp_path_factory.mktemp("pki"))


@settings(deadline=None)
@given(answer=answers, websocket=st.booleans(), truncated=st.booleans())
def test_client_takes_or_refuses(pki: Pki, answer: list[bytes], websocket: bool, truncated: bool) -> None:  # noqa: FBT001
    """Whatever a server says, a request ends in an answer or in one of the errors that its caller knows."""

    async def converse() -> None:
        async with tls_pair(MemoryCarrier(), pki.server_context(), pki.client_context()) as (client, server):

            async def answer_all() -> None:
                await server.receive_some()
                for piece in answer:
                    server.send_nowait(piece)
                if truncated:
                    server.abort()
                else:
                    await server.aclose()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(answer_all)
                http = HttpClientConnection(client, "ums.lab")
                try:
                    if websocket:
                        seen: Response | Opened = await http.open_websocket("/", key=bytes(16))
                    else:
                        seen = await http.request("GET", "/")
                except (RemoteProtocolError, trio.BrokenResourceError):
                    pass
                else:
                    assert isinstance(seen, Opened) or len(seen.body) <= MAX_BODY_BYTES

    trio.run(converse, clock=MockClock(autojump_threshold=0))
