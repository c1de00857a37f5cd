# SPDX-License-Identifier: Apache-2.0
"""`umslab serve` as an operator meets it: ready file, refusals, signals, logs."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import stat
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest

from tests.support import prometheus
from tests.support.process import QUICK_KEYS, ServerProcess, run_umslab
from umslab_certs.chain import fingerprint, load_pem_certificates

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that the test starts."""
    process = ServerProcess(tmp_path / "state")
    yield process
    process.close()


def _get(server: ServerProcess, path: str, host: str = "127.0.0.1") -> bytes:
    context = ssl.create_default_context(cafile=server.about["root"])  # noqa: TID251 - a client that is not ours
    with (
        socket.create_connection((host, server.port), 10) as raw,
        context.wrap_socket(raw, server_hostname=host) as tls,
    ):
        tls.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while data := tls.recv(65536):
            answer += data
        return answer


def test_the_ready_file_tells_all_a_script_needs(fresh: ServerProcess, tmp_path: Path) -> None:
    """Addresses, root, token and control socket, once connections are accepted."""
    fresh.arguments = (*QUICK_KEYS, "--ready-file", str(tmp_path / "ready.json"))
    fresh.start()
    about = json.loads((tmp_path / "ready.json").read_text())
    (root,) = load_pem_certificates((tmp_path / "state" / "server" / "web" / "root.pem").read_bytes(), "root")

    assert b"200 " in _get(fresh, "/ums/check-status")[:13]
    ports = {"addresses", "os11_addresses", "file_transfer_addresses"}
    assert {"version", *ports, "root", "token", "control", "metrics"} == set(about)
    assert about["metrics"] is None
    assert str(fingerprint(root).token) == about["token"]
    assert 0o600 == stat.S_IMODE((tmp_path / "ready.json").stat().st_mode)


def test_everything_it_keeps_is_private(fresh: ServerProcess, tmp_path: Path) -> None:
    """Files 0600, folders 0700, the control socket 0600."""
    fresh.start()
    modes = {
        (path.name, stat.S_IMODE(path.stat().st_mode))
        for path in (tmp_path / "state").rglob("*")
        if stat.S_IMODE(path.stat().st_mode) not in ({0o700} if path.is_dir() else {0o600})
    }

    assert set() == modes


def test_both_families(fresh: ServerProcess) -> None:
    """IPv4 and IPv6 on the same port."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as probe:
        fresh.port = probe.getsockname()[1]
    fresh.arguments = (*QUICK_KEYS, "--listen", "127.0.0.1", "--listen", "::1")
    fresh.start()

    assert b"simulation" in _get(fresh, "/info")
    assert b"simulation" in _get(fresh, "/info", host="::1")


def test_a_second_server_on_the_folder_refuses(fresh: ServerProcess) -> None:
    """It says which folder and what to do, and does not disturb the first."""
    fresh.start()
    done = run_umslab("serve", "--state", str(fresh.state), "--port", "0")

    assert 1 == done.returncode
    assert "in use by a running server" in done.stderr
    assert b"200 " in _get(fresh, "/info")[:13]


def test_a_port_in_use_is_named(fresh: ServerProcess, tmp_path: Path) -> None:
    """With the way out."""
    fresh.start()
    done = run_umslab("serve", "--state", str(tmp_path / "other"), "--port", str(fresh.port), *QUICK_KEYS)

    assert 1 == done.returncode
    assert f"127.0.0.1:{fresh.port} is in use" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("damage", ["web/web.pem", "est/authority.pem", "registry.sqlite"])
def test_damaged_state_is_named(fresh: ServerProcess, damage: str) -> None:
    """The message names the file or folder; nothing is overwritten."""
    fresh.start()
    fresh.stop()
    file = fresh.state / "server" / damage
    file.write_bytes(b"this is not what it was, " * 100)
    done = run_umslab("serve", "--state", str(fresh.state), "--port", "0")

    assert 1 == done.returncode
    assert damage.split("/", maxsplit=1)[0] in done.stderr
    assert "Traceback" not in done.stderr
    assert file.read_bytes().startswith(b"this is not")


def test_a_state_folder_that_is_a_file(tmp_path: Path) -> None:
    """Told in a sentence."""
    (tmp_path / "file").write_text("")
    done = run_umslab("serve", "--state", str(tmp_path / "file"))

    assert 1 == done.returncode
    assert str(tmp_path / "file") in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_in_order(fresh: ServerProcess, number: signal.Signals) -> None:
    """Exit code 0, the socket gone, an idle connection closed and not waited for."""
    fresh.start()
    context = ssl.create_default_context(cafile=fresh.about["root"])  # noqa: TID251 - a client that is not ours
    with socket.create_connection(("127.0.0.1", fresh.port), 10) as raw:
        with context.wrap_socket(raw, server_hostname="localhost") as idle:
            idle.sendall(b"GET /info HTTP/1.1\r\nHost: localhost\r\n\r\n")
            idle.recv(65536)

            code = fresh.signal(number)

            idle.settimeout(10)
            assert b"" == idle.recv(65536)
    assert 0 == code
    assert not (fresh.state / "server" / "control.sock").exists()


def test_sigkill_leaves_a_state_that_starts_again(fresh: ServerProcess) -> None:
    """The lock dies with its holder, a stale socket is replaced."""
    fresh.start()
    fresh.kill()
    fresh.start()

    assert [] == fresh.ask("devices.list")


def test_a_long_state_path_gets_a_short_socket(tmp_path: Path) -> None:
    """Unix sockets end at 107 bytes; the ready file names the other place."""
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    server = ServerProcess(deep)
    try:
        server.start()

        assert len(server.about["control"]) < 107
        assert [] == server.ask("devices.list")
    finally:
        server.close()


def test_json_logs_are_json(fresh: ServerProcess) -> None:
    """Every log line of --log-json is one object; a refused handshake is one of them."""
    fresh.arguments = (*QUICK_KEYS, "--log-json")
    fresh.start()
    with socket.create_connection(("127.0.0.1", fresh.port), 10) as raw:
        raw.sendall(b"this is not TLS\r\n\r\n")
        while raw.recv(4096):
            pass
    fresh.stop()
    events = [json.loads(line) for line in fresh.lines if line.startswith("{")]

    assert ["not-tls"] == [event["problem"] for event in events if event["event"] == "handshake failed"]


def test_owned_host_without_an_address_is_named(tmp_path: Path) -> None:
    """Before anything is made."""
    done = run_umslab("serve", "--state", str(tmp_path / "new"), "--i-own", "no..name")

    assert 2 == done.returncode
    assert "--i-own no..name" in done.stderr
    assert not (tmp_path / "new").exists()


def test_metrics_on_a_port_of_their_own(fresh: ServerProcess) -> None:
    """`--metrics 0` takes a free port of loopback and tells which; what it says is well-formed."""
    fresh.arguments = (*QUICK_KEYS, "--metrics", "0")
    fresh.start()
    host, _, port = fresh.about["metrics"].removeprefix("http://").removesuffix("/metrics").partition(":")
    connection = HTTPConnection(host, int(port), timeout=30)
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    families = prometheus.read(answer.read().decode())
    connection.close()

    assert (200, "127.0.0.1") == (answer.status, host)
    assert [] == prometheus.problems(families)
    assert 0 == prometheus.value(families, "umslab_sessions")
    assert fresh.about["metrics"] in "".join(fresh.lines)


def test_metrics_for_other_machines_are_a_decision(tmp_path: Path) -> None:
    """As every address that is not loopback."""
    done = run_umslab("serve", "--state", str(tmp_path), "--metrics", "0", "--set", "metrics.listen=0.0.0.0")

    assert 2 == done.returncode
    assert "--allow-remote" in done.stderr


def test_slow_on_purpose(fresh: ServerProcess, tmp_path: Path) -> None:
    """`--service-model` says so, and is; an empty file has the documented defaults."""
    (tmp_path / "slow.toml").write_text("")
    fresh.arguments = (*QUICK_KEYS, "--service-model", str(tmp_path / "slow.toml"))
    fresh.start()

    assert "slow on purpose       50 workers, a queue without limit" in "".join(fresh.lines)


def test_started_for_load(fresh: ServerProcess) -> None:
    """`--for-load` says so, and the path of the proof is there, which it is not otherwise."""
    fresh.arguments = (*QUICK_KEYS, "--for-load")
    fresh.start()

    assert "started for load" in "".join(fresh.lines)
    assert b"405 " in _get(fresh, "/umslab/load-proof")[:13]


def test_a_wrong_service_model(tmp_path: Path) -> None:
    """The line, the key, and exit code 2; nothing is started."""
    (tmp_path / "slow.toml").write_text("workers = 5\nqueues = 3\n")
    done = run_umslab("serve", "--state", str(tmp_path / "state"), "--service-model", str(tmp_path / "slow.toml"))

    assert 2 == done.returncode
    assert "slow.toml, line 2: unknown key queues" in done.stderr
    assert not (tmp_path / "state").exists()
