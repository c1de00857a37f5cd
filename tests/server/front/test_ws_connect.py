# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.front.ws_connect."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import trio

from tests.server.parts import Endpoint, Office, peer, unit_id
from tests.server.world import config, open_world
from tests.support.greeting import hello
from umslab_protocol.machines.session_device import DeviceSession
from umslab_protocol.machines.session_server import SessionRules
from umslab_protocol.wire import paths
from umslab_protocol.wire.close_codes import REFUSAL_HEADER, CloseCode
from umslab_protocol.wire.codec import JsonCodec
from umslab_protocol.wire.messages import SUBPROTOCOL, Error, Welcome
from umslab_protocol.wire.websocket_opening import opening_request
from umslab_runtime.http import Request, Response, Upgrade
from umslab_runtime.session_host import open_session_host
from umslab_server.config import SessionsConfig
from umslab_server.front.ws_connect import WsConnect

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from umslab_runtime.http import Headers

OPENING = [(name.lower(), value) for name, value in opening_request(bytes(16), (SUBPROTOCOL,))]


def without(name: str) -> Headers:
    """A request to open a WebSocket that lacks one header."""
    return [(key, value) for key, value in OPENING if key != name]


async def ask(
    office: Office, certificate: bytes | None, headers: Headers = OPENING, *, method: str = "GET"
) -> Response | Upgrade:
    """Ask for `ws-connect`."""
    async with open_session_host(office.clock, write_seconds=5.0) as host:
        front = WsConnect(
            office.sessions,
            host,
            codec=JsonCodec(),
            rules=SessionRules(),
            server_name="umslab",
            new_session_id=lambda: "s1",
        )
        return await front.get(Request(method, paths.WS_CONNECT, "", headers, b"", peer(certificate)))
    raise AssertionError("a session host is not left early")


class TestOpening:
    """What is answered before there is a session."""

    async def test_upgrade(self, office: Office) -> None:
        """101, with our subprotocol where it was offered."""
        certificate = await office.enrol(Endpoint(1), await office.mass_key())
        with_protocol = await ask(office, certificate)
        plain = await ask(office, certificate, without("sec-websocket-protocol"))

        assert isinstance(with_protocol, Upgrade)
        assert isinstance(plain, Upgrade)
        assert ("Sec-WebSocket-Protocol", SUBPROTOCOL) in with_protocol.headers
        assert "Sec-WebSocket-Protocol" not in dict(plain.headers)
        assert await office.certificate_states() == ["active"]

    @pytest.mark.parametrize("headers", [OPENING, []])
    async def test_without_certificate(self, office: Office, headers: Headers) -> None:
        """M2: 403 that names what is missing, whatever else is wrong."""
        answer = await ask(office, None, headers)

        assert isinstance(answer, Response)
        assert (answer.status, answer.header(REFUSAL_HEADER)) == (403, "no-certificate")

    @pytest.mark.parametrize(
        ("headers", "status", "name", "value"),
        [
            ([], 426, "upgrade", "websocket"),
            (without("upgrade"), 426, "upgrade", "websocket"),
            (without("sec-websocket-version"), 426, "sec-websocket-version", "13"),
            (without("sec-websocket-key"), 400, "content-type", "text/plain; charset=utf-8"),
        ],
    )
    async def test_no_websocket(self, office: Office, headers: Headers, status: int, name: str, value: str) -> None:
        """426 or 400, and the certificate does not count as used."""
        certificate = await office.enrol(Endpoint(1), await office.mass_key())
        answer = await ask(office, certificate, headers)

        assert isinstance(answer, Response)
        assert (answer.status, answer.header(name)) == (status, value)
        assert await office.certificate_states() == ["issued"]

    async def test_head_opens_nothing(self, office: Office) -> None:
        """RFC 6455 section 4.1: only GET opens a WebSocket."""
        certificate = await office.enrol(Endpoint(1), await office.mass_key())
        answer = await ask(office, certificate, method="HEAD")

        assert isinstance(answer, Response)
        assert answer.status == 426
        assert await office.certificate_states() == ["issued"]

    async def test_refusals(self, office: Office) -> None:
        """L7: the status and the header tell "unknown device" from every other refusal."""
        unknown = await office.enrol(Endpoint(1), await office.mass_key())
        await office.registry.purge(unit_id(1), actor="ann")
        await office.store.change(lambda writer: writer.connection.exec_driver_sql("DELETE FROM tombstone").rowcount)
        revoked = await office.device(2)
        await office.registry.revoke(unit_id(2), actor="ann", reason="stolen")
        answers = [await ask(office, certificate) for certificate in (unknown, revoked)]
        office.sessions.stop()
        answers.append(await ask(office, revoked))

        assert [
            (answer.status, answer.header(REFUSAL_HEADER), answer.header("retry-after"))
            for answer in answers
            if isinstance(answer, Response)
        ] == [(410, "unknown-device", None), (403, "revoked", None), (503, "busy", "5")]


class TestSession:
    """From 101 to the end, over TLS."""

    async def test_welcome(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """The server says who it is and what it demands."""
        sessions = SessionsConfig(ping_seconds=77.0, message_bytes=2048)
        async with open_world(tmp_path, config(sessions=sessions)) as world:
            _, _, line = await world.device()
            (welcome,) = line.heard

            assert isinstance(welcome, Welcome)
            assert (welcome.version, welcome.pingSeconds, welcome.maxMessageBytes) == (1, 77.0, 2048)
            assert welcome.server == "umslab/test (simulation; not IGEL)"
            assert len(welcome.session) == 16

    async def test_hello_behind_the_request(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """Bytes that came in one piece with the request are the session's first bytes."""
        async with open_world(tmp_path) as world:
            endpoint = Endpoint(1)
            session = DeviceSession(codec=JsonCodec(), hello=hello(endpoint.unit_id), now=0.0)
            stream = await world.dial(world.context(endpoint, await world.certificate(endpoint)))
            head = f"GET {paths.WS_CONNECT} HTTP/1.1\r\nHost: x\r\n"
            head += "".join(f"{name}: {value}\r\n" for name, value in opening_request(os.urandom(16)))
            await stream.send_all(head.encode() + b"\r\n" + session.output())
            answer = b""
            while b"welcome" not in answer:
                answer += await stream.receive_some()
            await stream.aclose()

            assert answer.startswith(b"HTTP/1.1 101 ")

    async def test_pings(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """A silent device is pinged, and closed with 4008 when it does not answer."""
        async with open_world(tmp_path) as world:
            _, _, line = await world.device()
            started = trio.current_time()
            await trio.sleep(200)

            assert not world.services.presence.is_online(unit_id(1))
            (left,) = await world.events("device-disconnected")
            assert (left.data["code"], left.actor) == (CloseCode.SILENT, "server")
            await line.hang_up()
            assert trio.current_time() - started < 210

    async def test_unreadable_message(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """It is answered with an error, and the session goes on."""
        async with open_world(tmp_path) as world:
            _, _, line = await world.device()
            line.machine._carrier.send_text(b"{}")
            await line.flush()

            assert isinstance(await line.next(), Error)
            assert world.services.presence.is_online(unit_id(1))

    async def test_too_long_message(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """1009, as the welcome announced."""
        async with open_world(tmp_path, config(sessions=SessionsConfig(message_bytes=1024))) as world:
            _, _, line = await world.device()
            line.machine._carrier.send_text(b"x" * 2000)
            await line.flush()
            closed = await line.closed()

            assert closed.code == CloseCode.TOO_BIG

    async def test_server_killed(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """A server that dies in the middle of a session leaves no session behind."""
        async with open_world(tmp_path) as world:
            await world.device()
            world.scope.cancel()
            await trio.testing.wait_all_tasks_blocked()

            assert len(world.services.presence) == 0
