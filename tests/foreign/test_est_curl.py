# SPDX-License-Identifier: Apache-2.0
"""EST (RFC 7030, RFC 8951) judged by curl and openssl alone."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from . import openssl
from .curl import Answer, EstByCurl, curl
from .openssl import Authority, fresh_unit_id
from .strangers import run
from .ums import EST_PATH

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .ums import Ums


def der_of(answer: Answer) -> bytes:
    """The PKCS#7 in an answer, which must be one line of base64."""
    assert answer.status == 200, answer
    return base64.b64decode(answer.body, validate=True)


def is_refused(answer: Answer) -> bool:
    """Whether the server blames the client."""
    return 400 <= answer.status < 500


def test_cacerts_needs_no_credentials(est: EstByCurl) -> None:
    """Everybody may fetch the CA certificates, in the content type of RFC 7030 section 4.1.3."""
    answer = est.get("cacerts")

    assert answer.status == 200
    assert answer.header("content-type") == "application/pkcs7-mime"
    assert answer.header("content-transfer-encoding") == "base64"


def test_cacerts_holds_web_root_and_client_ca(est: EstByCurl) -> None:
    """The PKCS#7 decodes by openssl to the web root of the ready file and one more CA."""
    found = openssl.read_pkcs7(der_of(est.get("cacerts")))

    assert len(found) == 2
    assert est.ums.root.read_text() in found


def test_cacerts_is_signed_by_nobody(est: EstByCurl) -> None:
    """It is a certs-only PKCS#7: no signer, no content (RFC 5272, 4.1)."""
    shown = run("openssl", "pkcs7", "-inform", "DER", "-print", "-noout", stdin=der_of(est.get("cacerts"))).out

    assert re.search(r"signer_info:\s*<EMPTY>", shown)
    assert re.search(r"crl:\s*<(EMPTY|ABSENT)>", shown)


def test_csrattrs_is_a_sequence(est: EstByCurl) -> None:
    """The answer parses as the SEQUENCE of RFC 7030 section 4.5.2."""
    answer = est.get("csrattrs")

    assert answer.status == 200
    assert answer.header("content-type") == "application/csrattrs"
    parsed = run("openssl", "asn1parse", "-inform", "DER", stdin=base64.b64decode(answer.body)).out
    assert "SEQUENCE" in parsed.splitlines()[0]


def test_simpleenroll_answers_certs_only(est: EstByCurl) -> None:
    """The answer has the content type of RFC 7030 section 4.2.3 and holds one certificate."""
    answer = est.post("simpleenroll", est.ask(est.new_key("k"), fresh_unit_id()))

    assert answer.status == 200
    assert answer.header("content-type") == "application/pkcs7-mime; smime-type=certs-only"
    assert len(openssl.read_pkcs7(der_of(answer))) == 1


def test_issued_certificate_chains_to_cacerts(est: EstByCurl, tmp_path: Path) -> None:
    """Openssl finds the issued certificate good for TLS clients below what cacerts answers."""
    bundle = tmp_path / "cacerts.pem"
    bundle.write_text("".join(openssl.read_pkcs7(der_of(est.get("cacerts")))))
    issued = est.enrol(fresh_unit_id())

    verified = run(
        *("openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", bundle, issued.certificate)
    )

    assert verified.out.strip().endswith(": OK")


def test_issued_certificate_is_not_for_servers(est: EstByCurl, tmp_path: Path) -> None:
    """A device cannot pose as a server with its certificate."""
    bundle = tmp_path / "cacerts.pem"
    bundle.write_text("".join(openssl.read_pkcs7(der_of(est.get("cacerts")))))
    issued = est.enrol(fresh_unit_id())

    verified = run(*("openssl", "verify", "-purpose", "sslserver", "-CAfile", bundle, issued.certificate), check=False)

    assert verified.code != 0


def test_issued_certificate_carries_the_key_of_the_request(est: EstByCurl) -> None:
    """The certificate is for our key and our unit ID."""
    unit_id = fresh_unit_id()

    issued = est.enrol(unit_id)

    assert openssl.show(issued.certificate, "-pubkey") == openssl.public_key_of(issued.key)
    assert openssl.common_name(issued.certificate) == unit_id


def test_issued_certificate_is_sound(est: EstByCurl) -> None:
    """No CA, valid now for about a year (X8), a positive serial of at least 64 bits."""
    issued = est.enrol(fresh_unit_id())

    text = openssl.show(issued.certificate, "-text")
    dates = dict(line.split("=") for line in openssl.show(issued.certificate, "-dates").splitlines())
    begin, end = (
        datetime.strptime(dates[name], "%b %d %H:%M:%S %Y %Z").replace(tzinfo=UTC) for name in ("notBefore", "notAfter")
    )
    serial = openssl.show(issued.certificate, "-serial").strip().partition("=")[2]
    assert "CA:TRUE" not in text
    assert begin <= datetime.now(UTC) < end
    assert (end - begin).days == 365
    assert not serial.startswith("-")
    assert len(serial) >= 16


def test_another_request_gets_another_serial(est: EstByCurl) -> None:
    """Two requests of one device are two certificates."""
    unit_id, key = fresh_unit_id(), est.new_key("k")

    first, second = est.enrol(unit_id, key), est.enrol(unit_id, key)

    assert openssl.show(first.certificate, "-serial") != openssl.show(second.certificate, "-serial")


def test_the_same_request_gets_the_same_certificate(est: EstByCurl) -> None:
    """A device whose answer was lost may resend identical bytes (K5, K6)."""
    body = est.ask(est.new_key("k"), fresh_unit_id())

    first, second = est.post("simpleenroll", body), est.post("simpleenroll", body)

    assert first.status == 200
    assert first.body == second.body


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("width", [64, 76])
def test_wrapped_requests_are_accepted(est: EstByCurl, width: int, line_end: bytes) -> None:
    """RFC 8951 section 3.1: receivers take any line breaks."""
    text = est.ask(est.new_key("k"), fresh_unit_id())
    lines = [text[at : at + width] for at in range(0, len(text), width)]

    answer = est.post("simpleenroll", line_end.join([*lines, b""]))

    assert answer.status == 200


def test_armoured_requests_are_accepted(est: EstByCurl) -> None:
    """What `openssl req` prints by default works too."""
    key = est.new_key("k")
    armoured = run("openssl", "req", "-new", "-key", key, "-subj", f"/CN={fresh_unit_id()}").stdout

    answer = est.post("simpleenroll", armoured)

    assert answer.status == 200


def test_a_request_for_a_ca_is_not_honoured(est: EstByCurl) -> None:
    """CA:TRUE in a request never reaches a certificate."""
    key = est.new_key("k")
    asked = est.ask(key, fresh_unit_id(), "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign")

    issued = est.keep(est.post("simpleenroll", asked), key)

    text = openssl.show(issued.certificate, "-text")
    assert "CA:TRUE" not in text
    assert "Certificate Sign" not in text


def test_names_in_a_request_are_not_honoured(est: EstByCurl) -> None:
    """A subjectAltName in a first request never reaches a certificate."""
    key = est.new_key("k")
    asked = est.ask(key, fresh_unit_id(), "subjectAltName=DNS:ums.example,DNS:localhost")

    issued = est.keep(est.post("simpleenroll", asked), key)

    assert "ums.example" not in openssl.show(issued.certificate, "-text")


def test_reenrolment_needs_the_certificate(est: EstByCurl) -> None:
    """A renewal without a client certificate is refused, also with a valid key."""
    answer = est.post("simplereenroll", est.ask(est.new_key("k"), fresh_unit_id()))

    assert answer.status == 403


def test_reenrolment_takes_a_new_key(est: EstByCurl) -> None:
    """Over its certificate alone a device gets another one, for another key."""
    unit_id, new_key = fresh_unit_id(), est.new_key("new")
    old = est.enrol(unit_id)

    renewed = est.keep(
        est.post("simplereenroll", est.ask(new_key, unit_id), identity=old, auth_key=None),
        new_key,
    )

    assert openssl.show(renewed.certificate, "-pubkey") == openssl.public_key_of(new_key)


def test_reenrolment_keeps_the_subject(est: EstByCurl) -> None:
    """RFC 7030 section 4.2.2: a renewal for somebody else is refused."""
    old = est.enrol(fresh_unit_id())

    answer = est.post("simplereenroll", est.ask(old.key, fresh_unit_id()), identity=old, auth_key=None)

    assert is_refused(answer)


def test_reenrolment_with_a_rogue_certificate_fails(est: EstByCurl, tmp_path: Path) -> None:
    """A certificate of the right name from the wrong authority does not pass the handshake."""
    unit_id = fresh_unit_id()
    est.enrol(unit_id)
    rogue = Authority(tmp_path / "rogue", "rogue CA").issue("rogue", openssl.CLIENT, subject=f"/CN={unit_id}")

    answer = est.post("simplereenroll", est.ask(rogue.key, unit_id), identity=rogue, auth_key=None)

    assert answer.status == 0
    assert "alert" in answer.said


def test_a_request_without_its_private_key_is_refused(est: EstByCurl) -> None:
    """One wrong byte in the signature is a failed proof of possession."""
    der = bytearray(openssl.request(est.new_key("k"), f"/CN={fresh_unit_id()}"))
    der[-4] ^= 0x55

    answer = est.post("simpleenroll", base64.b64encode(der))

    assert answer.status == 400


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda body: body[:80], id="truncated"),
        pytest.param(lambda _: b"@@@@%%%%", id="not base64"),
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda _: base64.b64encode(b"\x30\x03\x02\x01\x00"), id="no request"),
        pytest.param(lambda body: base64.b64encode(base64.b64decode(body) + b"\x00"), id="rest behind it"),
    ],
)
def test_broken_requests_are_refused(est: EstByCurl, spoil: Callable[[bytes], bytes]) -> None:
    """A body that is no request is the client's fault."""
    answer = est.post("simpleenroll", spoil(est.ask(est.new_key("k"), fresh_unit_id())))

    assert answer.status == 400


def test_weak_keys_are_refused(est: EstByCurl, tmp_path: Path) -> None:
    """RSA below 2048 bits gets no certificate."""
    key = tmp_path / "weak.key"
    run("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024", "-out", key)

    answer = est.post("simpleenroll", est.ask(key, fresh_unit_id()))

    assert answer.status == 400


@pytest.mark.parametrize("subject", ["/CN=printer", "/O=nobody", "/CN=02F0AA000001/CN=02F0AA000002"])
def test_a_subject_that_names_no_device_is_refused(est: EstByCurl, subject: str) -> None:
    """The identity is one common name that is a unit ID."""
    answer = est.post("simpleenroll", base64.b64encode(openssl.request(est.new_key("k"), subject)))

    assert answer.status == 400


@pytest.mark.parametrize("operation", ["simpleenroll", "simplereenroll"])
def test_another_content_type_is_refused(est: EstByCurl, operation: str) -> None:
    """415 says which type is wanted."""
    unit_id = fresh_unit_id()
    device = est.enrol(unit_id)

    answer = est.post(operation, est.ask(device.key, unit_id), identity=device, content_type="text/plain")

    assert answer.status == 415
    assert answer.header("accept-post") == "application/pkcs10"


def test_methods_are_told(est: EstByCurl) -> None:
    """405 names the methods that are allowed (RFC 9110 section 15.5.6)."""
    enrol, cacerts = est.get("simpleenroll"), est.post("cacerts", b"x")

    assert (enrol.status, enrol.header("allow")) == (405, "POST")
    assert (cacerts.status, cacerts.header("allow")) == (405, "GET, HEAD")


def test_unknown_operations_are_not_found(est: EstByCurl) -> None:
    """What EST has and we have not is a 404."""
    assert [est.get(name).status for name in ("fullcmc", "serverkeygen", "nosuchop", "")] == [404] * 4


SEND_FAILED = 55
"""What curl says when the server has answered and closed while it was still sending, and it was too slow to read."""


def test_a_large_body_is_refused(est: EstByCurl) -> None:
    """1 MiB is answered with 413, and the server goes on."""
    answer = est.post("simpleenroll", b"A" * 1024 * 1024)

    assert answer.status == 413 or answer.exit_code == SEND_FAILED
    assert est.get("cacerts").status == 200


def test_a_large_chunked_body_is_refused(est: EstByCurl) -> None:
    """The same without an announced length."""
    answer = est.post("simpleenroll", b"A" * 1024 * 1024, "--header", "Transfer-Encoding: chunked")

    assert answer.status == 413 or answer.exit_code == SEND_FAILED


def test_a_chunked_request_is_accepted(est: EstByCurl) -> None:
    """A request may come in chunks."""
    body = est.ask(est.new_key("k"), fresh_unit_id())

    answer = est.post("simpleenroll", body, "--header", "Transfer-Encoding: chunked")

    assert answer.status == 200


def test_tls_1_2_is_refused(ums: Ums) -> None:
    """OS 12 paths speak TLS 1.3 only (T1), and the client is told so by an alert."""
    answer = curl(ums.url(f"{EST_PATH}/cacerts"), "--tls-max", "1.2", root=ums.root)

    assert answer.status == 0
    assert answer.exit_code == 35
    assert "protocol version" in answer.said


def test_the_alias_answers_the_same(est: EstByCurl) -> None:
    """EST clients that cannot be told a path find EST at RFC 7030's own place."""
    answer = curl(est.ums.url("/.well-known/est/cacerts"), root=est.ums.root)

    assert answer.body == est.get("cacerts").body
