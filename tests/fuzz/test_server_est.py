# SPDX-License-Identifier: Apache-2.0
"""Whatever is sent to EST, with a real registry behind it: a proper answer, and no device that did not ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.parts import Endpoint, client_ca, open_office, peer
from umslab_certs.csrattrs import CSR_ATTRIBUTES
from umslab_certs.pkcs7 import decode_certificates, encode_certs_only
from umslab_protocol.wire.basic_auth import format_basic
from umslab_protocol.wire.transfer import Wrapping, decode_body, encode_body
from umslab_runtime.http import Request, Response
from umslab_server.certificates import encode_issued
from umslab_server.front.est import BasicAuthentication, Est
from umslab_server.throttle import ThrottleRules

if TYPE_CHECKING:
    from pathlib import Path

    from umslab_runtime.http import Headers
    from umslab_server.enrolment import Enrolment

ENDPOINTS = [Endpoint(number) for number in range(4)]
PATIENT = ThrottleRules(wrong_keys_per_device=1_000, wrong_keys_per_source=1_000)


@st.composite
def _changed(draw: st.DrawFn) -> bytes:
    """A good request with a few bytes changed."""
    data = bytearray(draw(st.sampled_from(ENDPOINTS)).request)
    for _ in range(draw(st.integers(0, 3))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.one_of(st.just(len(data)), st.integers(0, len(data))))])


_bodies = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=100).map(str.encode),
    st.tuples(_changed(), st.sampled_from(Wrapping)).map(lambda made: encode_body(made[0], made[1], "X")),
    _changed(),
)
_authorizations = st.one_of(
    st.none(),
    st.sampled_from([format_basic("", "mass-key"), format_basic("x", "mass-key")]),
    st.text(max_size=30).map(lambda text: format_basic("", text)),
    st.binary(max_size=30).map(lambda data: data.decode("latin-1")),
    st.binary(max_size=30).map(lambda data: "Basic " + data.decode("latin-1")),
)
_types = st.one_of(
    st.just("application/pkcs10"), st.none(), st.binary(max_size=20).map(lambda data: data.decode("latin-1"))
)


def _front(enrolment: Enrolment) -> Est:
    return Est(
        enrolment,
        BasicAuthentication(),
        ca_certificates=lambda: encode_certs_only([client_ca().certificate]),
        csr_attributes=CSR_ATTRIBUTES,
        wrapping=Wrapping.ONE_LINE,
        encode_certificate=encode_issued,
    )


def _headers(authorization: str | None, kind: str | None) -> Headers:
    given_headers = {"authorization": authorization, "content-type": kind}
    return [(name, value) for name, value in given_headers.items() if value is not None]


@pytest.mark.parametrize("operation", ["simpleenroll", "simplereenroll"])
async def test_est(tmp_path: Path, operation: str) -> None:
    """One of the documented statuses, a certificate with each 200, a challenge with each 401."""
    async with open_office(tmp_path, rules=PATIENT) as office:
        front = _front(office.enrolment)
        secret = await office.mass_key()
        certificates = [await office.enrol(endpoint, secret) for endpoint in ENDPOINTS]

        async def ask(body: bytes, headers: Headers, certificate: bytes | None) -> Response:
            request = Request("POST", "/x", "", headers, body, peer(certificate))
            call = front.simpleenroll if operation == "simpleenroll" else front.simplereenroll
            return await call(request)

        @given(_bodies, _authorizations, _types, st.sampled_from([*certificates, None, b"", b"\x30\x03\x02\x01\x05"]))
        @settings(deadline=None)
        def check(body: bytes, authorization: str | None, kind: str | None, certificate: bytes | None) -> None:
            answer = trio.from_thread.run(ask, body, _headers(authorization, kind), certificate)

            assert answer.status in {200, 400, 401, 403, 415}
            if answer.status == 200:
                assert len(decode_certificates(decode_body(answer.body))) == 1
            else:
                assert answer.body.endswith(b"\n")
            assert (answer.status == 401) == (answer.header("www-authenticate") is not None)

        await trio.to_thread.run_sync(check)

        assert len(await office.registry.list_devices()) == len(ENDPOINTS)
