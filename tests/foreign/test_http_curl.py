# SPDX-License-Identifier: Apache-2.0
"""HTTP as curl sees it: the vendor's diagnosis command, monitors, credentials, connections, ways to write a body."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from tests.support import prometheus

from . import openssl
from .curl import CURL, EstByCurl, curl
from .openssl import fresh_unit_id
from .strangers import run
from .ums import EST_PATH, WS_PATH, running_ums

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .ums import Ums


def test_the_vendors_diagnosis_command_works(ums: Ums) -> None:
    """E5: curl with TLS 1.3 and certificate checks off fetches cacerts."""
    answer = curl(ums.url(f"{EST_PATH}/cacerts"), "--insecure", "--tlsv1.3", "--verbose")

    assert answer.status == 200
    assert "TLSv1.3" in answer.said
    assert openssl.read_pkcs7(base64.b64decode(answer.body, validate=True))


def test_curl_trusts_the_root_of_the_ready_file_by_name(ums: Ums) -> None:
    """The web certificate covers localhost as well as the address."""
    answer = curl(f"https://localhost:{ums.port}/info", root=ums.root)

    assert answer.status == 200


def test_check_status_answers_get_and_head(ums: Ums) -> None:
    """ST1 and R10: a JSON object with the one key `status`; HEAD gets the same headers and no body."""
    got = curl(ums.url("/ums/check-status"), root=ums.root)
    request = "HEAD /ums/check-status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    head = openssl.s_client(ums.address, "-quiet", "-CAfile", ums.root, send=request).out

    assert got.status == 200
    assert json.loads(got.body) == {"status": "ok"}
    assert got.header("content-type") == "application/json"
    assert head.startswith("HTTP/1.1 200")
    assert f"\r\nContent-Length: {len(got.body)}\r\n" in head
    assert head.partition("\r\n\r\n")[2] == ""


def test_info_names_the_product(ums: Ums) -> None:
    """E11: a monitor finds the product's name, and a person finds that this is a simulation."""
    answer = curl(ums.url("/info"), root=ums.root)

    assert answer.status == 200
    assert b"IGEL Universal Management Suite" in answer.body
    assert b"not affiliated" in answer.body


def test_nothing_else_is_there(ums: Ums) -> None:
    """Other paths are 404, whatever the method."""
    paths = ("/", "/webapp/", "/info/", "/ums_filetransfer/x", "/device-connector/device/nosuch")

    assert [curl(ums.url(path), root=ums.root).status for path in paths] == [404] * len(paths)


def test_headers_are_written_canonically(ums: Ums) -> None:
    """Some EST clients compare header names with case and want a Content-Length."""
    head = curl(ums.url(f"{EST_PATH}/cacerts"), root=ums.root).head

    assert {"Content-Type", "Content-Length", "Content-Transfer-Encoding", "Server", "Date"} <= {
        line.partition(":")[0] for line in head.splitlines()[1:]
    }


@pytest.mark.parametrize("auth_key", [None, "wrong-key"])
def test_enrolment_without_the_key_is_challenged(est: EstByCurl, auth_key: str | None) -> None:
    """401 comes with a Basic challenge (RFC 9110 section 15.5.2)."""
    answer = est.post("simpleenroll", est.ask(est.new_key("k"), fresh_unit_id()), auth_key=auth_key)

    assert answer.status == 401
    assert (answer.header("www-authenticate") or "").startswith('Basic realm="')


def test_curl_answers_the_challenge_by_itself(est: EstByCurl) -> None:
    """With --anyauth curl asks without the key first and comes again with it."""
    answer = est.post("simpleenroll", est.ask(est.new_key("k"), fresh_unit_id()), "--anyauth")

    assert answer.status == 200


def test_wrong_keys_are_slowed_down(est: EstByCurl) -> None:
    """After a few wrong keys a device must wait, and 429 tells how long; another device need not."""
    key = est.new_key("k")
    body = est.ask(key, fresh_unit_id())

    statuses = [est.post("simpleenroll", body, auth_key="wrong-key").status for _ in range(5)]
    slowed = est.post("simpleenroll", body, auth_key="wrong-key")
    other = est.post("simpleenroll", est.ask(key, fresh_unit_id()))

    assert statuses == [401] * 5
    assert slowed.status == 429
    assert 1 <= int(slowed.header("retry-after") or "0") <= 60
    assert other.status == 200


def test_a_one_time_key_works_for_one_device(est: EstByCurl) -> None:
    """K1: the second device with the same one-time key is refused."""
    (made,) = est.ums.call("keys.create", kind="one-time")
    key = est.new_key("k")

    first = est.post("simpleenroll", est.ask(key, fresh_unit_id()), auth_key=made["secret"])
    second = est.post("simpleenroll", est.ask(key, fresh_unit_id()), auth_key=made["secret"])

    assert (first.status, second.status) == (200, 401)


def test_ws_connect_needs_a_websocket(est: EstByCurl) -> None:
    """A plain GET with a device certificate is told to upgrade, one without it is refused."""
    device = est.enrol(fresh_unit_id())
    url = est.ums.url(WS_PATH)

    known = curl(url, "--cert", device.certificate, "--key", device.key, root=est.ums.root)
    nobody = curl(url, root=est.ums.root)

    assert (known.status, known.header("upgrade")) == (426, "websocket")
    assert (nobody.status, nobody.header("umslab-refusal")) == (403, "no-certificate")


def test_one_connection_carries_many_requests(ums: Ums) -> None:
    """Keep-alive: curl opens one connection for three URLs, also behind a refusal."""
    urls = [ums.url(path) for path in ("/info", "/nosuch", "/ums/check-status")]

    done = run(*CURL, "--cacert", ums.root, "--write-out", "%{stderr}%{num_connects} %{http_code}\n", *urls)

    assert done.err.splitlines() == ["1 200", "0 404", "0 200"]


@pytest.mark.parametrize("host", ["", "Host: localhost\r\n"])
def test_http_1_0_is_served_and_closed(ums: Ums, host: str) -> None:
    """A client of 1996 gets its answer, and the end of the connection."""
    request = f"GET /info HTTP/1.0\r\n{host}\r\n"

    done = openssl.s_client(ums.address, "-quiet", "-CAfile", ums.root, send=request)

    head, _, body = done.out.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200")
    assert "Connection: close" in head
    assert "IGEL Universal Management Suite" in body


def test_curl_speaks_http_1_0(ums: Ums) -> None:
    """The same by curl, which checks the length."""
    answer = curl(ums.url("/info"), "--http1.0", root=ums.root)

    assert answer.status == 200
    assert len(answer.body) == int(answer.header("content-length") or "-1")


def test_long_headers_are_refused(ums: Ums) -> None:
    """Headers of 40,000 bytes are more than twice what is enough for everybody: 431."""
    answer = curl(ums.url("/info"), "--header", f"X-Long: {'x' * 40_000}", root=ums.root)

    assert answer.status == 431


def test_a_request_that_is_none_is_refused(ums: Ums) -> None:
    """400, and the connection closes."""
    done = openssl.s_client(ums.address, "-quiet", "-CAfile", ums.root, send="this is not HTTP\r\n\r\n")

    assert done.out.startswith("HTTP/1.1 400")


@pytest.fixture(scope="module", params=["wrapped", "pem"])
def other_est(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EstByCurl]:
    """A server that writes its EST bodies another way."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    with running_ums(folder / "state", f"enrolment.body={request.param}") as ums:
        (folder / "keys").mkdir()
        yield EstByCurl(ums, folder / "keys")


def read_body(body: bytes) -> list[str]:
    """What openssl reads in a wrapped or armoured body, with no help."""
    if body.startswith(b"-----BEGIN PKCS7-----\n"):
        return openssl.split_pem(run("openssl", "pkcs7", "-print_certs", stdin=body).out)
    assert max(len(line) for line in body.splitlines()) == 64
    assert body.count(b"\r\n") == body.count(b"\n") > 1
    return openssl.read_pkcs7(run("openssl", "base64", "-d", stdin=body).stdout)


def test_bodies_can_be_written_otherwise(other_est: EstByCurl) -> None:
    """X4: a wrapped body is for `openssl base64 -d`, an armoured one for `openssl pkcs7` directly."""
    assert other_est.ums.root.read_text() in read_body(other_est.get("cacerts").body)


def test_certificates_can_be_written_otherwise(other_est: EstByCurl) -> None:
    """The same holds for an enrolment answer."""
    key = other_est.new_key("k")

    answer = other_est.post("simpleenroll", other_est.ask(key, fresh_unit_id()))

    (certificate,) = read_body(answer.body)
    shown = run("openssl", "x509", "-noout", "-pubkey", stdin=certificate.encode()).out
    assert shown == openssl.public_key_of(key)


def test_curl_scrapes_metrics(tmp_path: Path) -> None:
    """A plain HTTP answer on the port for metrics; what curl did before is counted in it, for any linter to read."""
    with running_ums(tmp_path, "metrics.port=0") as ums:
        curl(ums.url("/info"), root=ums.root)
        answer = curl(json.loads((tmp_path / "ready.json").read_text())["metrics"])
    families = prometheus.read(answer.body.decode())

    assert (200, "text/plain; version=0.0.4; charset=utf-8") == (answer.status, answer.header("content-type"))
    assert [] == prometheus.problems(families)
    assert 1 == prometheus.value(families, "umslab_http_requests_total", path="/info", status="200")
