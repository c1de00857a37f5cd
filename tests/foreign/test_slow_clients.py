# SPDX-License-Identifier: Apache-2.0
"""Clients that are slow or silent are cut off, and nobody else notices them."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from .curl import CURL, curl
from .strangers import run
from .ums import EST_PATH, MASS_KEY, running_ums

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .ums import Ums

LIMITS = (
    "limits.handshake_seconds=1.5",
    "limits.header_seconds=1",
    "limits.body_seconds=1",
    "limits.idle_seconds=1.5",
    "limits.write_seconds=1",
    "limits.requests_per_connection=1000000",
)
PATIENCE = 10.0
STEP = 0.2


def send_without_end(stream: socket.socket, text: bytes) -> None:
    """Send the same again and again, read nothing; returns only when the server bears it for too long."""
    give_up = time.monotonic() + 3 * PATIENCE
    while time.monotonic() < give_up:
        stream.sendall(text)


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ums]:
    """A server whose deadlines are about a second."""
    with running_ums(tmp_path_factory.mktemp("impatient"), *LIMITS) as ums:
        yield ums


def connect(ums: Ums) -> socket.socket:
    """A TCP connection, nothing said yet."""
    raw = socket.create_connection(("127.0.0.1", ums.port), PATIENCE)
    raw.settimeout(PATIENCE)
    return raw


def connect_tls(ums: Ums) -> ssl.SSLSocket:
    """A TLS connection, by the standard library."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ums.root)
    return context.wrap_socket(connect(ums), server_hostname="localhost")


def read_to_end(stream: socket.socket) -> bytes:
    """Everything the server still says; a reset is an end too."""
    said = b""
    try:
        while data := stream.recv(4096):
            said += data
    except ConnectionResetError:
        pass
    return said


def drip(stream: socket.socket, text: bytes) -> bytes:
    """Send a byte at a time, for as long as the server bears it; returns its answer."""
    stream.settimeout(STEP)
    give_up = time.monotonic() + PATIENCE
    for at in range(len(text)):
        assert time.monotonic() < give_up, "the server bears it for too long"
        try:
            stream.sendall(text[at : at + 1])
            if said := stream.recv(4096):
                stream.settimeout(PATIENCE)
                return said + read_to_end(stream)
        except TimeoutError:
            continue  # silence: the pace of this client
        return b""
    raise AssertionError("the server has read it all")


def test_slow_headers_are_cut_off(impatient: Ums) -> None:
    """A byte now and then of the headers is answered with 408 when their second is over."""
    with connect_tls(impatient) as stream:
        started = time.monotonic()
        said = drip(stream, b"GET /info HTTP/1.1\r\nHost: localhost\r\n" + b"X-Slow: x\r\n" * 20)
        took = time.monotonic() - started

    assert said.startswith(b"HTTP/1.1 408 ")
    assert b"Connection: close\r\n" in said
    assert 0.9 < took < 5


def test_slow_bodies_are_cut_off(impatient: Ums) -> None:
    """The same for a body."""
    head = (
        f"POST {EST_PATH}/simpleenroll HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/pkcs10\r\n"
        "Authorization: Basic YTpi\r\nContent-Length: 1000\r\n\r\n"
    )
    with connect_tls(impatient) as stream:
        stream.sendall(head.encode())
        said = drip(stream, b"A" * 1000)

    assert said.startswith(b"HTTP/1.1 408 ")


def test_a_slow_upload_by_curl_is_cut_off(impatient: Ums) -> None:
    """The same for curl with a rate limit."""
    answer = curl(
        impatient.url(f"{EST_PATH}/simpleenroll"),
        *("--limit-rate", "1k", "--header", "Content-Type: application/pkcs10", "--user", f"any:{MASS_KEY}"),
        root=impatient.root,
        body=b"A" * 60_000,
    )

    assert answer.status == 408


def test_a_silent_connection_is_cut_off(impatient: Ums) -> None:
    """Who does not begin TLS is gone when the handshake's time is over."""
    with connect(impatient) as raw:
        started = time.monotonic()
        said = read_to_end(raw)
        took = time.monotonic() - started

    assert said == b""
    assert 1 < took < 6


def test_half_a_hello_is_cut_off(impatient: Ums) -> None:
    """Nor does it help to begin and stop."""
    with connect(impatient) as raw:
        raw.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        said = read_to_end(raw)

    assert said == b""


def test_an_idle_connection_is_closed_without_a_word(impatient: Ums) -> None:
    """Between requests there is nothing to answer: TLS ends in order."""
    with connect_tls(impatient) as stream:
        stream.sendall(b"GET /info HTTP/1.1\r\nHost: localhost\r\n\r\n")
        said = read_to_end(stream)

    assert said.count(b"HTTP/1.1 ") == 1
    assert said.startswith(b"HTTP/1.1 200 ")


def test_a_client_that_does_not_read_is_dropped(impatient: Ums) -> None:
    """Requests without end whose answers nobody reads end in a closed connection."""
    requests = b"GET /info HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100
    with connect_tls(impatient) as stream:
        started = time.monotonic()
        with pytest.raises((ConnectionError, ssl.SSLError)):
            send_without_end(stream, requests)
        took = time.monotonic() - started

    assert took > 1
    assert curl(impatient.url("/info"), root=impatient.root).status == 200


def test_silent_connections_are_in_nobodys_way(ums: Ums) -> None:
    """While fifty connections are silent before TLS and fifty after it, a request is answered at once."""
    with ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(connect(ums))
            stack.enter_context(connect_tls(ums))
        done = run(*CURL, "--cacert", ums.root, "--write-out", "%{stderr}%{time_total}", ums.url("/info"))

    assert float(done.err) < 2.0
