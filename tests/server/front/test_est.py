# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.front.est."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.server.parts import Endpoint, Office, client_ca, open_office, peer, rendered_logs, unit_id
from umslab_certs.chain import parse_certificate
from umslab_certs.csrattrs import CSR_ATTRIBUTES
from umslab_certs.pkcs7 import decode_certificates, encode_certs_only
from umslab_protocol.errors import InvalidValueError
from umslab_protocol.wire.basic_auth import format_basic
from umslab_protocol.wire.transfer import Wrapping, decode_body, encode_body
from umslab_runtime.http import Request, Response
from umslab_server.certificates import encode_issued
from umslab_server.front.est import BasicAuthentication, Est
from umslab_server.throttle import ThrottleRules

if TYPE_CHECKING:
    from pathlib import Path

    from umslab_runtime.http import Headers
    from umslab_server.front.est import Authentication


def est(office: Office, *, wrapping: Wrapping = Wrapping.ONE_LINE, carrier: Authentication | None = None) -> Est:
    """The front on these services."""
    return Est(
        office.enrolment,
        carrier or BasicAuthentication(),
        ca_certificates=lambda: encode_certs_only([client_ca().certificate]),
        csr_attributes=CSR_ATTRIBUTES,
        wrapping=wrapping,
        encode_certificate=encode_issued,
    )


def request(
    body: bytes = b"",
    *,
    key: str | None = None,
    kind: str | None = "application/pkcs10",
    authorization: str | None = None,
    certificate: bytes | None = None,
) -> Request:
    """A request as the HTTP server hands it on."""
    headers: Headers = []
    if key is not None:
        headers.append(("authorization", format_basic("anybody", key)))
    if authorization is not None:
        headers.append(("authorization", authorization))
    if kind is not None:
        headers.append(("content-type", kind))
    return Request("POST", "/somewhere", "", headers, body, peer(certificate))


def base64(der: bytes, wrapping: Wrapping = Wrapping.ONE_LINE) -> bytes:
    """A body as clients send it."""
    return encode_body(der, wrapping, "CERTIFICATE REQUEST")


def issued(answer: Response) -> bytes:
    """The one certificate of an answer."""
    assert answer.status == 200, answer
    (certificate,) = decode_certificates(decode_body(answer.body))
    return certificate.public_bytes(Encoding.DER)


class TestOpenToAll:
    """cacerts and csrattrs need nothing (X3)."""

    async def test_cacerts(self, office: Office) -> None:
        """RFC 7030 section 4.1, RFC 8951: PKCS#7 in base64, said in the headers."""
        answer = await est(office).cacerts(request())

        assert (answer.status, answer.header("content-type")) == (200, "application/pkcs7-mime")
        assert answer.header("content-transfer-encoding") == "base64"
        assert decode_certificates(decode_body(answer.body)) == [client_ca().certificate]

    async def test_csrattrs(self, office: Office) -> None:
        """RFC 7030 section 4.5, RFC 9908."""
        answer = await est(office).csrattrs(request())

        assert (answer.status, answer.header("content-type")) == (200, "application/csrattrs")
        assert decode_body(answer.body) == CSR_ATTRIBUTES

    @pytest.mark.parametrize(
        ("wrapping", "begins", "lines"),
        [(Wrapping.ONE_LINE, b"MII", 1), (Wrapping.WRAPPED, b"MII", 5), (Wrapping.PEM, b"-----BEGIN PKCS7-----\n", 5)],
    )
    async def test_three_ways_to_write(self, office: Office, wrapping: Wrapping, begins: bytes, lines: int) -> None:
        """X4: one line, wrapped or armoured; all say the same."""
        answer = await est(office, wrapping=wrapping).cacerts(request())

        assert answer.body.startswith(begins)
        assert len(answer.body.splitlines()) >= lines
        assert decode_certificates(decode_body(answer.body)) == [client_ca().certificate]


class TestEnrolling:
    """simpleenroll."""

    @pytest.mark.parametrize("wrapping", Wrapping)
    async def test_certificate(self, office: Office, wrapping: Wrapping) -> None:
        """Whatever wrapping the request has; the answer is the issued certificate alone."""
        device = Endpoint(1)
        answer = await est(office).simpleenroll(request(base64(device.request, wrapping), key=await office.mass_key()))

        assert answer.header("content-type") == "application/pkcs7-mime; smime-type=certs-only"
        assert parse_certificate(issued(answer)).public_key() == device.key.public_key()

    @pytest.mark.parametrize("kind", ["application/pkcs10", "Application/PKCS10; charset=x", " application/pkcs10 "])
    async def test_content_types(self, office: Office, kind: str) -> None:
        """Case, parameters and blanks do not matter."""
        body = base64(Endpoint(1).request)

        assert (await est(office).simpleenroll(request(body, key=await office.mass_key(), kind=kind))).status == 200

    @pytest.mark.parametrize("kind", [None, "", "application/x-pem-file", "text/plain"])
    async def test_other_content_types(self, office: Office, kind: str | None) -> None:
        """415 that says what is taken."""
        body = base64(Endpoint(1).request)
        answer = await est(office).simpleenroll(request(body, key=await office.mass_key(), kind=kind))

        assert (answer.status, answer.header("accept-post")) == (415, "application/pkcs10")

    async def test_without_key(self, office: Office) -> None:
        """401 with a challenge; nothing else is looked at."""
        answer = await est(office).simpleenroll(request(b"not even a request", kind=None))

        assert (answer.status, answer.header("www-authenticate")) == (401, BasicAuthentication.challenge)

    @pytest.mark.parametrize("value", ["Bearer x", "Basic", "Basic !!!", "Basic YQ==", "", "Basic \xff\xfe"])
    async def test_unreadable_credentials(self, office: Office, value: str) -> None:
        """401 with a challenge, and the value is not repeated."""
        answer = await est(office).simpleenroll(request(base64(Endpoint(1).request), authorization=value))

        assert (answer.status, answer.header("www-authenticate")) == (401, BasicAuthentication.challenge)
        assert b"YQ" not in answer.body

    async def test_wrong_key(self, tmp_path: Path) -> None:
        """401 with a challenge, then 429 with Retry-After in whole seconds."""
        async with open_office(tmp_path, rules=ThrottleRules(wrong_keys_per_device=1)) as office:
            body = base64(Endpoint(1).request)
            answers = [await est(office).simpleenroll(request(body, key="wrong")) for _ in range(2)]

        assert [answer.status for answer in answers] == [401, 429]
        assert [answer.header("www-authenticate") for answer in answers] == [BasicAuthentication.challenge, None]
        assert answers[1].header("retry-after") == "10"

    @pytest.mark.parametrize("body", [b"", b"%%%", b"YWJj", b"-----BEGIN X-----\n-----END X-----"])
    async def test_bad_bodies(self, office: Office, body: bytes) -> None:
        """400 with a sentence."""
        answer = await est(office).simpleenroll(request(body, key=await office.mass_key()))

        assert answer.status == 400
        assert len(answer.body) > 10

    async def test_in_the_bin(self, office: Office) -> None:
        """RB4: 403, which a device shows as error 38."""
        secret, device = await office.mass_key(), Endpoint(1)
        await office.enrol(device, secret)
        await office.registry.delete(unit_id(1), actor="ann")
        answer = await est(office).simpleenroll(request(base64(device.request), key=secret))

        assert answer.status == 403
        assert b"recycle bin" in answer.body

    async def test_plugged_in_carrier(self, office: Office) -> None:
        """X6: another way to carry the key, with its own challenge."""
        front, body = est(office, carrier=_Header()), base64(Endpoint(1).request)
        good = request(body)
        good.headers.append(("x-key", await office.mass_key()))
        bad = request(body)
        bad.headers.append(("x-key", ""))

        assert (await front.simpleenroll(good)).status == 200
        assert (await front.simpleenroll(bad)).header("www-authenticate") == "Key"
        assert (await front.simpleenroll(request(body))).header("www-authenticate") == "Key"


class _Header:
    challenge = "Key"

    def read_key(self, request: Request) -> str | None:
        """The key in a header of its own."""
        value = request.header("x-key")
        if value == "":
            raise InvalidValueError("empty")
        return value


class TestRenewing:
    """simplereenroll."""

    async def test_over_the_certificate(self, office: Office) -> None:
        """No key is asked for."""
        device = Endpoint(1)
        certificate = await office.enrol(device, await office.mass_key())
        answer = await est(office).simplereenroll(request(base64(device.request), certificate=certificate))

        assert issued(answer) != certificate

    async def test_without_certificate(self, office: Office) -> None:
        """403, also with a key that would do for an enrolment."""
        answer = await est(office).simplereenroll(request(base64(Endpoint(1).request), key=await office.mass_key()))

        assert answer.status == 403

    async def test_bad_body(self, office: Office) -> None:
        """400 and 415 as for enrolments."""
        certificate = await office.enrol(Endpoint(1), await office.mass_key())
        answers = [
            await est(office).simplereenroll(request(b"%%%", certificate=certificate)),
            await est(office).simplereenroll(request(b"", kind=None, certificate=certificate)),
        ]

        assert [answer.status for answer in answers] == [400, 415]

    async def test_unknown(self, office: Office) -> None:
        """403 for a certificate the registry does not know."""
        certificate = await office.enrol(Endpoint(1), await office.mass_key())
        await office.registry.purge(unit_id(1), actor="ann")
        answer = await est(office).simplereenroll(request(base64(Endpoint(1).request), certificate=certificate))

        assert answer.status == 403


async def test_busy(office: Office) -> None:
    """503 with Retry-After when the registry cannot be written; no defect, whichever operation."""
    secret, device = await office.mass_key(), Endpoint(1)
    certificate = await office.enrol(device, secret)
    office.store._write_connection.exec_driver_sql("PRAGMA query_only = ON")
    with rendered_logs():
        answers = [
            await est(office).simpleenroll(request(base64(Endpoint(2).request), key=secret)),
            await est(office).simplereenroll(request(base64(device.request), certificate=certificate)),
        ]

    assert [(answer.status, answer.header("retry-after")) for answer in answers] == [(503, "5")] * 2
