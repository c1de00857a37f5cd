# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_agent.os11.contacting: servers that are none (test_device.py has those that are)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.agent.os11.ums import SERVER, open_os11_lab
from umslab_certs.tls import server_context
from umslab_protocol.machines.device_life import State
from umslab_protocol.values.failure import Phase, Reason
from umslab_runtime.connections import Room, StreamServer
from umslab_runtime.limits import Limits

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from umslab_runtime.streams import HttpStream


class Stranger(StreamServer):
    """Says what the test wants to whoever comes, and hangs up."""

    said = b""

    async def converse(self, stream: HttpStream, *, crowded: bool) -> None:
        """Say it."""
        del crowded
        await stream.receive_some()  # what is not read makes the end a reset, which eats what was said
        await stream.send_all(self.said or b"x")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Reason.PROTOCOL),
        (b"\0\0\0\2{}", Reason.PROTOCOL),
        (b"\0", Reason.LOST),
        (b'\0\0\0\x45{"type":"challenge","version":1,"nonce":"', Reason.LOST),
    ],
)
async def test_something_else_answers(tmp_path: Path, autojump_clock: MockClock, said: bytes, reason: Reason) -> None:
    """Over TLS 1.2, but no UMS: nothing is pinned, and the failure says in which phase."""
    async with open_os11_lab(tmp_path) as lab:
        stranger = Stranger(context=lab.ums._tls_now, room=Room(Limits()))
        stranger.said = said
        listener = await lab.ums.network.listen("", 0)
        lab.nursery.start_soon(stranger.serve, [listener])
        lab.ums.target = type(lab.ums.target)(SERVER, listener.address.port)
        device = lab.device()
        await device.over.wait()

        assert device.device.failure is not None
        assert (State.FAILED, Phase.REGISTER, reason) == (
            device.ended,
            device.device.failure.phase,
            device.device.failure.reason,
        )
        assert not device.folder.path.joinpath("server.crt").exists()


async def test_a_server_of_tls_1_3_only(tmp_path: Path, autojump_clock: MockClock) -> None:
    """As the web port is: the hint says which port is meant (T1)."""
    async with open_os11_lab(tmp_path) as lab:
        context = server_context(lab.ums.communication.identity_file, [])
        stranger = Stranger(context=lambda: context, room=Room(Limits()))
        listener = await lab.ums.network.listen("", 0)
        lab.nursery.start_soon(stranger.serve, [listener])
        lab.ums.target = type(lab.ums.target)(SERVER, listener.address.port)
        device = lab.device()
        await device.over.wait()

        assert device.device.failure is not None
        assert Reason.TLS_REFUSED is device.device.failure.reason
        assert "TLS 1.2 only" in device.device.failure.hint
