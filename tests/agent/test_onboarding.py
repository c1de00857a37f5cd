# SPDX-License-Identifier: Apache-2.0
"""The steps on board against servers that answer wrongly: phase, reason and vendor code of each failure."""

from __future__ import annotations

import hashlib
import os
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import trio

from tests.support.scripted import Scripted, open_scripted, p7
from umslab_agent.contexts import TlsContexts
from umslab_agent.folder import DeviceFolder
from umslab_agent.kept import KnownConnectors
from umslab_agent.onboarding import Onboarding, World
from umslab_agent.persona import derive_persona
from umslab_agent.trust import TrustMode
from umslab_certs.authority import create_root
from umslab_certs.chain import fingerprint
from umslab_certs.csr import build_request, read_request
from umslab_certs.keys import KeyType, generate_key
from umslab_protocol.values.est_address import parse_est_address
from umslab_protocol.values.failure import Failure, Phase, Reason
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.values.unit_id import UnitId
from umslab_protocol.wire.codec import JsonCodec
from umslab_protocol.wire.paths import EST
from umslab_protocol.wire.transfer import decode_body
from umslab_runtime.clock import SkewedClock
from umslab_runtime.executor import InlineExecutor
from umslab_runtime.http import Request, Response, text_response
from umslab_runtime.session_host import open_session_host

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from trio.testing import MockClock

KEY = "welcome"


@asynccontextmanager
async def _device(
    path: Path,
    *,
    names: tuple[str, ...] = ("ums.lab",),
    auth_key: str | None = KEY,
    target: HostPort | None = None,
    enrol_at: str = "",
) -> AsyncIterator[tuple[Onboarding, Scripted, DeviceFolder]]:
    async with open_scripted(path / "server", names=names) as server:
        async with open_session_host(server.clock, write_seconds=20) as host:
            folder = DeviceFolder(path / "device")
            folder.path.mkdir()
            world = World(
                network=server.devices,
                clock=server.clock,
                executor=InlineExecutor(),
                contexts=TlsContexts(check_time=False),
                codec=JsonCodec(),
                host=host,
                entropy=os.urandom,
            )
            onboarding = Onboarding(
                derive_persona(1, 1, firmware=DEFAULT_FIRMWARE),
                folder,
                target or server.target,
                world,
                trust_mode=TrustMode(token=fingerprint(server.root.certificate).token),
                auth_key=auth_key,
                key_type=KeyType.P256,
                enrol_at=parse_est_address(enrol_at) if enrol_at else None,
            )
            yield onboarding, server, folder


def _issue(server: Scripted, request: Request) -> Response:
    asked = read_request(decode_body(request.body))
    return p7([server.clients.issue_device(asked, now=server.clock.utc())])


def _summary(failure: Failure | None) -> tuple[Phase, Reason, int | None]:
    assert failure is not None
    return failure.phase, failure.reason, failure.vendor_code


async def test_the_whole_way(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Trust, request, certificate: each on disk before the step returns."""
    async with _device(tmp_path) as (onboarding, server, folder):
        server.answers["simpleenroll"] = lambda request: _issue(server, request)

        assert await onboarding.establish_trust() is None
        assert await onboarding.prepare_request() is None
        assert await onboarding.enrol() is None

        assert [server.root.certificate] == folder.load_trust()[0]
        assert folder.load_identity() is not None
        assert folder.load_request() is None
        assert server.paths() == ["cacerts", "simpleenroll"]


async def test_no_secret_is_sent_before_trust(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The one fetch without verification carries no Authorization header and no device identity."""
    async with _device(tmp_path) as (onboarding, server, _):
        await onboarding.establish_trust()

        assert server.requests[0].header("authorization") is None
        assert server.requests[0].peer.certificate is None


async def test_the_very_same_request_is_sent_again(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A lost answer is asked for with identical bytes."""
    async with _device(tmp_path) as (onboarding, server, _):
        server.answers["simpleenroll"] = text_response(503, "busy", [("Retry-After", "7")])
        await onboarding.establish_trust()
        await onboarding.prepare_request()

        failure = await onboarding.enrol()
        server.answers["simpleenroll"] = lambda request: _issue(server, request)
        await onboarding.enrol()

        bodies = [request.body for request in server.requests if request.method == "POST"]
        assert len(bodies) == 2
        assert len(set(bodies)) == 1
        assert failure is not None
        assert (failure.reason, failure.retry_after) == (Reason.BUSY, 7.0)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (text_response(404, "no such page"), Reason.NOT_EST),
        (Response(200, [], b"<html>hello</html>"), Reason.BAD_ANSWER),
        (Response(200, [], b""), Reason.BAD_ANSWER),
        (Response(200, [], b"AAAA"), Reason.BAD_ANSWER),
        (text_response(503, "starting"), Reason.BUSY),
        (text_response(301, "moved", [("Location", "https://elsewhere.example/")]), Reason.NOT_EST),
        (Response(200, [], b"A" * 2_000_000), Reason.BAD_ANSWER),
    ],
    ids=["404", "html", "empty", "no-pkcs7", "503", "redirect", "huge"],
)
async def test_cacerts_that_cannot_be_had_are_37(
    tmp_path: Path, autojump_clock: MockClock, answer: Response, reason: Reason
) -> None:
    """Whatever keeps the CA certificates away is IGEL's 37; no redirect is followed."""
    async with _device(tmp_path) as (onboarding, server, folder):
        server.answers["cacerts"] = answer

        failure = await onboarding.establish_trust()

        assert (Phase.CACERTS, reason, 37) == _summary(failure)
        assert folder.load_trust() == ([], [])
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("host", "port", "phase", "reason"),
    [
        ("nowhere.lab", 8443, Phase.RESOLVE, Reason.NAME_UNKNOWN),
        ("ums.lab", 9, Phase.CACERTS, Reason.UNREACHABLE),
    ],
)
async def test_a_server_that_is_not_there_is_37(
    tmp_path: Path, autojump_clock: MockClock, host: str, port: int, phase: Phase, reason: Reason
) -> None:
    """A name without address and a port without listener are told apart, and are both 37 before enrolment."""
    async with _device(tmp_path, target=HostPort(host, port)) as (onboarding, _, _):
        assert (phase, reason, 37) == _summary(await onboarding.establish_trust())


async def test_a_firewall_that_drops_is_a_timeout(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A connect nobody answers ends after the documented 45 seconds (W10)."""
    async with _device(tmp_path) as (onboarding, server, _):
        server.network.partition("ums.lab", "device")
        began = trio.current_time()

        failure = await onboarding.establish_trust()

        assert _summary(failure) == (Phase.CACERTS, Reason.TIMEOUT, 37)
        assert pytest.approx(trio.current_time() - began) == 45


@pytest.mark.parametrize(
    ("answer", "reason", "code"),
    [
        (text_response(401, "no"), Reason.KEY_REFUSED, 38),
        (text_response(403, "in the recycle bin"), Reason.ENROL_REFUSED, 38),
        (text_response(400, "bad CSR"), Reason.ENROL_REFUSED, 38),
        (text_response(429, "slow down", [("Retry-After", "30")]), Reason.RATE_LIMITED, 38),
        (text_response(202, "later", [("Retry-After", "30")]), Reason.AWAITING_APPROVAL, 38),
        (text_response(500, "oops"), Reason.BUSY, 38),
        (Response(200, [], b"not base64!"), Reason.BAD_ANSWER, 39),
        (Response(200, [], b""), Reason.BAD_ANSWER, 39),
    ],
    ids=["401", "403", "400", "429", "202", "500", "not-base64", "empty"],
)
async def test_refused_enrolments(
    tmp_path: Path, autojump_clock: MockClock, answer: Response, reason: Reason, code: int
) -> None:
    """Every refusal keeps the request for the next try and has the vendor's code where one fits."""
    async with _device(tmp_path) as (onboarding, server, folder):
        await onboarding.establish_trust()
        await onboarding.prepare_request()
        server.answers["simpleenroll"] = answer

        failure = await onboarding.enrol()

        assert (Phase.ENROL, reason, code) == _summary(failure)
        assert folder.load_request() is not None
        assert folder.load_identity() is None


async def test_a_certificate_for_another_key_is_not_taken(tmp_path: Path, autojump_clock: MockClock) -> None:
    """What was issued must carry the key of the request."""
    async with _device(tmp_path) as (onboarding, server, folder):
        await onboarding.establish_trust()
        await onboarding.prepare_request()
        foreign = read_request(build_request(UnitId("02AAAAAAAAAA"), generate_key(KeyType.P256)))
        server.answers["simpleenroll"] = p7([server.clients.issue_device(foreign, now=server.clock.utc())])

        failure = await onboarding.enrol()

        assert _summary(failure) == (Phase.ENROL, Reason.BAD_ANSWER, 39)
        assert folder.load_identity() is None


async def test_a_certificate_that_lacks_the_name_is_found_before_the_key_is_sent(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """The pinned connection checks the name; the server never sees the enrolment."""
    async with _device(tmp_path, names=("other.lab",)) as (onboarding, server, _):
        await onboarding.establish_trust()
        await onboarding.prepare_request()

        failure = await onboarding.enrol()

        assert _summary(failure) == (Phase.ENROL, Reason.NAME_MISMATCH, 45)
        assert server.paths() == ["cacerts"]


async def test_another_root_at_the_same_address_gets_no_key(tmp_path: Path, autojump_clock: MockClock) -> None:
    """After pinning, a foreign root is refused before anything is sent."""
    async with _device(tmp_path) as (onboarding, server, folder):
        stranger = create_root("stranger", KeyType.P256, now=server.clock.utc())
        folder.save_trust([stranger.certificate], [], [])
        await onboarding.prepare_request()

        failure = await onboarding.enrol()

        assert failure is not None
        assert failure.reason == Reason.UNTRUSTED_SERVER
        assert server.requests == []


async def test_enrolling_needs_a_key(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Without a first-authentication key nothing is sent, and the hint says how to give one."""
    async with _device(tmp_path, auth_key=None) as (onboarding, server, _):
        await onboarding.establish_trust()
        await onboarding.prepare_request()

        failure = await onboarding.enrol()

        assert failure is not None
        assert "--auth-key" in failure.hint
        assert server.paths() == ["cacerts"]


async def test_a_full_disk_is_41(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A certificate that cannot be saved is told as such, and the request is still there."""
    async with _device(tmp_path) as (onboarding, server, folder):
        server.answers["simpleenroll"] = lambda request: _issue(server, request)
        await onboarding.establish_trust()
        await onboarding.prepare_request()
        folder.identity_file.mkdir()  # nothing can be renamed onto a folder

        failure = await onboarding.enrol()

        assert _summary(failure) == (Phase.STORE, Reason.NOT_SAVED, 41)
        assert folder.load_request() is not None


async def test_renewal_uses_the_certificate_and_a_new_key(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Simplereenroll goes over the certificate being renewed; afterwards another key is in use."""
    async with _device(tmp_path) as (onboarding, server, folder):
        server.answers["simpleenroll"] = lambda request: _issue(server, request)
        server.answers["simplereenroll"] = lambda request: _issue(server, request)
        await onboarding.establish_trust()
        await onboarding.prepare_request()
        await onboarding.enrol()
        first = folder.load_identity()

        assert await onboarding.renew() is None

        second = folder.load_identity()
        assert first is not None
        assert second is not None
        assert first.public_key() != second.public_key()
        assert fingerprint(first).digits == _presented(server.requests[-1])


async def test_an_address_for_enrolment(tmp_path: Path, autojump_clock: MockClock) -> None:
    """S7: first where the user says, then where the server said; a renewal that fails there goes to the UMS."""
    async with _device(tmp_path, enrol_at="ums.lab:8443/first/est") as (onboarding, server, folder):
        server.answers["simpleenroll"] = lambda request: _issue(server, request)
        refused = text_response(403, "no client certificate")
        server.answers["simplereenroll"] = lambda request: (
            refused if request.path.startswith("/told") else _issue(server, request)
        )
        await onboarding.establish_trust()
        await onboarding.prepare_request()
        await onboarding.enrol()
        folder.connectors.save(KnownConnectors(digest="c", enrolment="ums.lab:8443/told"))

        assert await onboarding.renew() is None
        assert ["/first/est/cacerts", "/first/est/simpleenroll", "/told/simplereenroll", f"{EST}/simplereenroll"] == [
            request.path for request in server.requests
        ]
        bodies = [request.body for request in server.requests]
        assert bodies[2] == bodies[3]


async def test_a_clock_that_went_wrong_stops_the_renewal(tmp_path: Path, autojump_clock: MockClock) -> None:
    """SE7: by its own calendar the server's certificate has expired, so nothing is sent over that connection."""
    async with _device(tmp_path) as (onboarding, server, _):
        server.answers["simpleenroll"] = lambda request: _issue(server, request)
        await onboarding.establish_trust()
        await onboarding.prepare_request()
        await onboarding.enrol()
        right = onboarding._world
        onboarding._world = replace(right, clock=SkewedClock(right.clock, timedelta(days=800)))

        failure = await onboarding.renew()

        assert failure is not None
        assert (Phase.RENEW, Reason.CERTIFICATE_TIME) == (failure.phase, failure.reason)
        assert ["cacerts", "simpleenroll"] == server.paths()


def _presented(request: Request) -> str:
    assert request.peer.certificate is not None
    return hashlib.sha256(request.peer.certificate).hexdigest().upper()
