# SPDX-License-Identifier: Apache-2.0
"""`umslab fleet run` against what is no good server, on real sockets: it ends in time, with causes and no traceback."""

from __future__ import annotations

import json
import socket
import struct
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.process import run_umslab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def _answering(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that does this with every connection, and keeps it until the end."""
    kept: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:  # the test is over
                    return
                kept.append(connection)
                try:
                    answer(connection)
                except OSError:  # the device was quicker
                    connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in kept:
                connection.close()


def _hang(_connection: socket.socket) -> None:
    """Say nothing."""


def _reset(connection: socket.socket) -> None:
    connection.recv(10)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _garbage(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.0 400 speak TLS\r\n\r\n" + bytes(range(256)))
    connection.close()


def _vanish(connection: socket.socket) -> None:
    connection.recv(10)
    connection.close()


@pytest.mark.parametrize(
    ("answer", "reasons"),
    [(_hang, set()), (_reset, {"tls-broken"}), (_garbage, {"not-tls"}), (_vanish, {"tls-broken"})],
    ids=["hangs", "resets", "garbage", "vanishes"],
)
def test_it_ends_with_a_report(answer: Callable[[socket.socket], None], reasons: set[str]) -> None:
    """Exit code 3; every try under its cause, told when it is new; who was not on board in time is told."""
    phases = '[{kind="onboard",within_seconds=2},{kind="drain",within_seconds=1}]'
    with _answering(answer) as port:
        done = run_umslab(
            *("fleet", "run", f"127.0.0.1:{port}", "-n", "6", "--at-once", "--auth-key", "k", "--json"),
            *("--set", f"phases={phases}", "--set", 'retry={kind="flat",seconds=1}'),
        )
    report = json.loads(done.stdout)["report"]

    assert 3 == done.returncode, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert (6, 0) == (report["devices"], report["managed"])
    assert reasons == {cause["reason"] for cause in report["causes"]}
    assert all(done.stderr.count(f", {reason}: ") == 1 for reason in reasons)
    assert any("6 devices were not on board in time" in note for note in report["notes"])
