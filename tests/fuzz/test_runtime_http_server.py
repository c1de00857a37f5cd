# SPDX-License-Identifier: Apache-2.0
"""Arbitrary bytes into the HTTP server: it never raises, answers or closes, and that in bounded time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.runtime.carriers import receive_all
from tests.runtime.pki import Pki, make_pki
from tests.runtime.web import talking
from umslab_runtime.http import Request, Response, Upgrade
from umslab_runtime.limits import Limits

if TYPE_CHECKING:
    from umslab_runtime.streams import HttpStream

LIMITS = Limits(
    header_bytes=512, body_bytes=300, requests_per_connection=5, idle_seconds=60, header_seconds=10, body_seconds=20
)
STATUSES = {100, 101, 200, 400, 408, 413, 431, 501}
LONGEST = 5 * (LIMITS.idle_seconds + LIMITS.header_seconds + LIMITS.body_seconds)

WORDS = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
    b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD",
    b"GET",
    b" / ",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"\r\n",
    b"\n",
    b"\r\n\r\n",
    b"Host: a\r\n",
    b"Connection: close\r\n",
    b"Connection: upgrade\r\n",
    b"Upgrade: websocket\r\n",
    b"Expect: 100-continue\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"ffffffffffffffff\r\n",
    b"hello",
    b"x" * 600,
    b"\x00",
]
pieces = st.lists(st.sampled_from(WORDS) | st.binary(max_size=30), max_size=12)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Identities for the connections."""
    return make_pki(tmp_path_factory.mktemp("pki"))


async def run(stream: HttpStream, first_bytes: bytes, /) -> None:
    """Carry a switched connection to nowhere."""


async def app(request: Request, /) -> Response | Upgrade:
    """Upgrade who asks for it as RFC 9110 wants, answer everybody else."""
    if (request.header("upgrade") or "").lower() == "websocket" and request.method == "GET":
        return Upgrade([("Upgrade", "websocket"), ("Connection", "Upgrade")], run)
    return Response(200, [], request.body)


@settings(deadline=None)
@given(pieces=pieces, said_goodbye=st.booleans())
def test_server_answers_or_closes(pki: Pki, pieces: list[bytes], said_goodbye: bool) -> None:  # noqa: FBT001
    """Whatever comes, in whatever pieces, the connection ends in time with nothing but well-formed answers on it."""
    said = b""

    async def converse() -> None:
        nonlocal said
        async with talking(pki, app, LIMITS) as talk:
            for piece in pieces:
                if not talk.over.is_set():
                    await talk.say(piece)
                    await trio.testing.wait_all_tasks_blocked()
            if said_goodbye:
                await talk.client.aclose()
            elif talk.switched is None:
                said = await receive_all(talk.client)
            with trio.fail_after(LONGEST):
                await talk.over.wait()

    trio.run(converse, clock=MockClock(autojump_threshold=0))

    assert not said or said.startswith(b"HTTP/1.1 ")
    assert {int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) \r\n", said)} <= STATUSES
