# SPDX-License-Identifier: Apache-2.0
"""TLS by openssl s_client, curl and bare bytes: versions, client certificates, and the alerts that tell why not."""

from __future__ import annotations

import os
import re
import socket
import struct
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from umslab_certs.client_authority import ClientAuthority

from . import openssl
from .curl import EstByCurl, curl
from .openssl import Authority, Identity, fresh_unit_id
from .ums import EST_PATH, WS_PATH, running_ums

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .ums import Ums

ASK_INFO = "GET /info HTTP/1.0\r\n\r\n"
UNIT_ID = "02F0CC000001"


@pytest.fixture(scope="module")
def client_ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An EST client CA whose key the tests have, made by openssl."""
    return Authority(tmp_path_factory.mktemp("client-ca") / "ca", "client CA of the tests")


@pytest.fixture(scope="module")
def own_ca_ums(client_ca: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ums]:
    """A server that issues with that CA."""
    state = tmp_path_factory.mktemp("own-ca")
    now = datetime.now(UTC)
    authority = ClientAuthority.create(state / "server" / "est", now=now)
    authority.import_authority(client_ca.certificate.read_bytes(), client_ca.key.read_bytes(), now=now)
    with running_ums(state) as ums:
        yield ums


def alert_for(ums: Ums, identity: Identity) -> int | None:
    """The TLS alert that answers a client certificate; None when the server spoke HTTP instead."""
    done = openssl.s_client(
        *(ums.address, "-tls1_3", "-CAfile", ums.root, "-cert", identity.certificate, "-key", identity.key),
        send=ASK_INFO,
    )
    found = re.search(r"SSL alert number (\d+)", done.err)
    assert (found is None) == ("HTTP/1.1 200" in done.out), done
    return int(found.group(1)) if found else None


def test_a_certificate_of_the_client_ca_passes(own_ca_ums: Ums, client_ca: Authority) -> None:
    """The handshake takes a sound certificate: what the other tests see is not a general refusal."""
    assert alert_for(own_ca_ums, client_ca.issue("sound", openssl.CLIENT)) is None


def test_a_rogue_certificate_gets_alert_48(ums: Ums, tmp_path: Path) -> None:
    """`unknown_ca` for a certificate from somewhere else."""
    rogue = Authority(tmp_path / "rogue", "rogue CA").issue("rogue", openssl.CLIENT, subject=f"/CN={UNIT_ID}")

    assert alert_for(ums, rogue) == 48


def test_a_self_signed_certificate_gets_alert_48(ums: Ums, tmp_path: Path) -> None:
    """`unknown_ca` also for a certificate without any authority."""
    rogue = Authority(tmp_path / "rogue", UNIT_ID)

    assert alert_for(ums, Identity(rogue.key, rogue.certificate)) == 48


def test_an_expired_certificate_gets_alert_45(own_ca_ums: Ums, client_ca: Authority) -> None:
    """`certificate_expired`, as X9 with its switch off demands."""
    expired = client_ca.issue("expired", openssl.CLIENT, start=-timedelta(days=3), end=-timedelta(days=2))

    assert alert_for(own_ca_ums, expired) == 45


def test_a_certificate_of_the_future_is_refused(own_ca_ums: Ums, client_ca: Authority) -> None:
    """OpenSSL calls it `bad_certificate` (42)."""
    early = client_ca.issue("early", openssl.CLIENT, start=timedelta(days=2), end=timedelta(days=3))

    assert alert_for(own_ca_ums, early) == 42


def test_a_server_certificate_gets_alert_43(own_ca_ums: Ums, client_ca: Authority) -> None:
    """`unsupported_certificate` for one whose extended key usage is for servers."""
    server = client_ca.issue("server", openssl.SERVER)

    assert alert_for(own_ca_ums, server) == 43


def test_a_sound_certificate_that_was_not_issued_is_refused_by_the_path(own_ca_ums: Ums, client_ca: Authority) -> None:
    """M4: what the CA signed but the registry does not know passes TLS and is refused by HTTP."""
    stray = client_ca.issue("stray", openssl.CLIENT, subject=f"/CN={UNIT_ID}")
    url = own_ca_ums.url(WS_PATH)
    opening = ("--header", "Connection: Upgrade", "--header", "Upgrade: websocket")
    handshake = ("--header", "Sec-WebSocket-Version: 13", "--header", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
    who = ("--cert", stray.certificate, "--key", stray.key)

    answer = curl(url, "--http1.1", *opening, *handshake, *who, root=own_ca_ums.root)

    assert (answer.status, answer.header("umslab-refusal")) == (410, "unknown-device")


def test_a_tls_1_2_hello_gets_alert_70(ums: Ums) -> None:
    """A bare TLS 1.2 hello is answered with `protocol_version` in bytes, not with a reset."""
    host, _, port = ums.address.rpartition(":")
    with socket.create_connection((host, int(port)), 10) as raw:
        raw.sendall(tls_1_2_hello())
        answer = b""
        while data := raw.recv(4096):
            answer += data

    assert answer[:1] + answer[3:] == b"\x15\x00\x02\x02\x46"  # an alert record of two bytes: fatal, 70


def tls_1_2_hello() -> bytes:
    """A ClientHello without supported_versions (RFC 5246 section 7.4.1.2)."""
    suites = bytes.fromhex("c02bc02fc02cc030009c002f")
    extensions = bytes.fromhex("000a00080006001d00170018 000b00020100 000d000e000c040308040401050308050501")
    body = b"\x03\x03" + os.urandom(32) + b"\x00" + struct.pack("!H", len(suites)) + suites + b"\x01\x00"
    body += struct.pack("!H", len(extensions)) + extensions
    message = b"\x01" + struct.pack("!I", len(body))[1:] + body
    return b"\x16\x03\x01" + struct.pack("!H", len(message)) + message


@pytest.mark.parametrize("version", ["tls1", "tls1_1", "tls1_2"])
def test_old_versions_are_refused(ums: Ums, version: str) -> None:
    """Only TLS 1.3 is offered (T1), and the server says so itself."""
    done = openssl.s_client(ums.address, f"-{version}", "-cipher", "ALL:@SECLEVEL=0", send=ASK_INFO)

    assert "SSL alert number 70" in done.err
    assert "HTTP/" not in done.out


@pytest.mark.parametrize("suite", ["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"])
def test_every_suite_of_tls_1_3_works(ums: Ums, suite: str) -> None:
    """A client may insist on one of the three usual suites."""
    done = openssl.s_client(ums.address, "-ciphersuites", suite, "-CAfile", ums.root, send=ASK_INFO)

    assert f"New, TLSv1.3, Cipher is {suite}" in done.out
    assert "Verify return code: 0 (ok)" in done.out
    assert "HTTP/1.1 200" in done.out


def test_no_session_tickets_by_default(ums: Ums) -> None:
    """Resumption is a choice; by default there is none."""
    done = openssl.s_client(ums.address, "-CAfile", ums.root, send=ASK_INFO)

    assert "HTTP/1.1 200" in done.out
    assert "Post-Handshake New Session Ticket arrived" not in done.out


@pytest.fixture(scope="module")
def lenient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EstByCurl]:
    """A server with TLS 1.2 for other clients, and session tickets."""
    folder = tmp_path_factory.mktemp("lenient")
    with running_ums(folder / "state", 'tls_min="1.2"', "tickets=2") as ums:
        (folder / "keys").mkdir()
        yield EstByCurl(ums, folder / "keys")


def test_tls_1_2_on_request_is_not_for_devices(lenient: EstByCurl) -> None:
    """With `tls_min` a TLS 1.2 client reads /info; the device paths are 403 for it, also to enrol."""
    body = lenient.ask(lenient.new_key("old"), fresh_unit_id())

    info = curl(lenient.ums.url("/info"), "--tls-max", "1.2", root=lenient.ums.root)
    paths = [f"{EST_PATH}/cacerts", WS_PATH, "/.well-known/est/cacerts"]
    refused = [curl(lenient.ums.url(path), "--tls-max", "1.2", root=lenient.ums.root).status for path in paths]
    url = lenient.ums.url(f"{EST_PATH}/simpleenroll")
    enrolled = curl(url, "--tls-max", "1.2", "--user", "any:key", root=lenient.ums.root, body=body)

    assert info.status == 200
    assert refused == [403] * 3
    assert enrolled.status == 403


def test_tls_1_3_goes_on_beside_1_2(lenient: EstByCurl) -> None:
    """Devices do not notice that the server is lenient."""
    unit_id = fresh_unit_id()

    assert openssl.common_name(lenient.enrol(unit_id).certificate) == unit_id


def test_versions_below_1_2_are_refused_even_then(lenient: EstByCurl) -> None:
    """TLS 1.0 and 1.1 cannot be switched on."""
    cipher = ("-cipher", "ALL:@SECLEVEL=0")

    done = [openssl.s_client(lenient.ums.address, f"-{old}", *cipher, send=ASK_INFO) for old in ("tls1", "tls1_1")]

    assert ["SSL alert number 70" in one.err for one in done] == [True, True]


def test_tickets_on_request_resume(lenient: EstByCurl, tmp_path: Path) -> None:
    """With `tickets` a client keeps its session and comes back with it."""
    session = tmp_path / "session.pem"
    trust = ("-CAfile", lenient.ums.root)

    first = openssl.s_client(lenient.ums.address, *trust, "-sess_out", session, send=ASK_INFO)
    second = openssl.s_client(lenient.ums.address, *trust, "-sess_in", session, send=ASK_INFO)

    assert "New, TLSv1.3" in first.out
    assert "Reused, TLSv1.3" in second.out
    assert "HTTP/1.1 200" in second.out
