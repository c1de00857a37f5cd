# SPDX-License-Identifier: Apache-2.0
"""Arbitrary bytes into TLS: handshakes end in `TLSError`, streams in `TLSBrokenError` or a clean end, nothing else."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.runtime.carriers import MemoryCarrier, plain_pair, tls_pair
from tests.runtime.pki import Pki, make_pki
from umslab_runtime.tls import TLSBrokenError, TLSError
from umslab_runtime.tls_memory import MemoryTLSStream

records = st.builds(
    lambda kind, body, honest: bytes((kind, 3, 3)) + (len(body) + honest).to_bytes(2, "big") + body,
    st.sampled_from([20, 21, 22, 23, 24, 99]),
    st.binary(max_size=60),
    st.sampled_from([0, 0, 0, 1]),
)
garbage = st.lists(records | st.binary(max_size=40), max_size=5).map(b"".join)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Identities for the connections."""
    return make_pki(tmp_path_factory.mktemp("pki"))


@settings(deadline=None)
@given(sent=garbage, serving=st.booleans(), ends=st.booleans())
def test_handshake_ends_in_tls_error(pki: Pki, sent: bytes, serving: bool, ends: bool) -> None:  # noqa: FBT001
    """A peer that sends anything at all in a handshake is refused in bounded time."""

    async def converse() -> None:
        async with plain_pair(MemoryCarrier()) as (peer, ours):
            context = pki.server_context() if serving else pki.client_context()
            stream = ours.wrap_tls(context, server_side=serving, server_hostname=None if serving else "ums.lab")
            await peer.send_all(sent)
            if ends:
                await peer.send_eof()
            with trio.move_on_after(60) as patience, pytest.raises(TLSError):
                await stream.do_handshake()
            assert not (ends and patience.cancelled_caught)

    trio.run(converse, clock=MockClock(autojump_threshold=0))


@settings(deadline=None)
@given(sent=garbage)
def test_stream_ends_in_broken_error(pki: Pki, sent: bytes) -> None:
    """Bytes that are not of the conversation break the stream, and none of them is taken for data."""

    async def converse() -> None:
        async with tls_pair(MemoryCarrier(), pki.server_context(), pki.client_context()) as (client, server):
            assert isinstance(client, MemoryTLSStream)
            client._transport.send_nowait(sent)
            await client._transport.send_eof()

            with pytest.raises(TLSBrokenError):
                await server.receive_some()

    trio.run(converse, clock=MockClock(autojump_threshold=0))
