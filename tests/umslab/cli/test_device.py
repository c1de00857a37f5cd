# SPDX-License-Identifier: Apache-2.0
"""`umslab device` as a user meets it."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.here import run_here
from tests.support.process import UMSLAB, ServerProcess, clean_environment

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def key(server: ServerProcess) -> str:
    """A mass-deployment key."""
    return str(server.ask("keys.create", kind="mass", chosen="welcome-key")[0]["secret"])


def _device(
    server: ServerProcess, path: Path, *arguments: str, stdin: str = "", environment: dict[str, str] | None = None
) -> Any:
    where = f"localhost:{server.port}"
    return run_here("device", where, "--state", str(path), "--once", *arguments, stdin=stdin, environment=environment)


def test_on_board_and_again(server: ServerProcess, key: str, tmp_path: Path) -> None:
    """First with key and token; then the state folder is enough."""
    first = _device(server, tmp_path, "--auth-key", key, "--token", server.about["token"], "--structure-tag", "HQ")
    second = _device(server, tmp_path)

    assert (0, "") == (first.returncode, first.stderr)
    assert "enrolling" in first.stdout
    assert first.stdout.splitlines()[-1].endswith("managed")
    assert 0 == second.returncode
    assert "enrolling" not in second.stdout
    unit_id = first.stdout.split()[0]
    assert "HQ" == server.ask("devices.show", unit_id=unit_id)["structure_tag"]


@pytest.mark.parametrize("how", ["--key", "file", "stdin", "environment"])
def test_ways_to_give_the_key(server: ServerProcess, key: str, tmp_path: Path, how: str) -> None:
    """Flag, file, standard input and environment."""
    (tmp_path / "key.txt").write_text(key + "\n")
    arguments = {
        "--key": ("--key", key),
        "file": ("--auth-key-file", str(tmp_path / "key.txt")),
        "stdin": ("--auth-key-file", "-"),
        "environment": (),
    }[how]
    environment = {"UMSLAB_AUTH_KEY": key} if how == "environment" else {}
    done = _device(
        server, tmp_path / "d", *arguments, "--token", server.about["token"], stdin=f"{key}\n", environment=environment
    )

    assert (0, "") == (done.returncode, done.stderr)


def test_the_whole_hash_and_first_use(server: ServerProcess, key: str, tmp_path: Path) -> None:
    """The other two ways to trust."""
    parts = server.ask("certs.show")["root"]["sha256_parts"]
    by_hash = _device(server, tmp_path / "a", "--auth-key", key, "--ca-hash", ":".join(parts))
    first_use = _device(server, tmp_path / "b", "--auth-key", key, "--trust-first-use")

    assert (0, 0) == (by_hash.returncode, first_use.returncode)


def test_json_is_a_line_a_change(server: ServerProcess, key: str, tmp_path: Path) -> None:
    """Machines read the same story."""
    done = _device(server, tmp_path, "--auth-key", key, "--token", server.about["token"], "--json")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    lines = [line for line in told if "state" in line]
    (booted,) = (line for line in told if "event" in line)

    assert ("booted", {"boot": 1}) == (booted["event"], booted["data"])
    assert ["trusting", "preparing", "enrolling", "connecting", "online", "online"] == [line["state"] for line in lines]
    assert lines[-1]["managed"]
    assert {1} == {line["version"] for line in lines}


def test_a_failure_tells_phase_reason_hint_and_code(server: ServerProcess, tmp_path: Path) -> None:
    """For people on standard error, for machines in the last line; exit code 3."""
    arguments = ("--auth-key", "wrong", "--token", server.about["token"])
    told = _device(server, tmp_path / "a", *arguments)
    as_json = _device(server, tmp_path / "b", *arguments, "--json")
    failure = json.loads(as_json.stdout.splitlines()[-1])["failure"]

    assert (3, 3) == (told.returncode, as_json.returncode)
    for word in ("phase    enrol", "key-refused", "hint", "IGEL     error code 38 (documented)"):
        assert word in told.stderr
    assert ("enrol", "key-refused", 38, "documented") == (
        failure["phase"], failure["reason"], failure["vendor_code"], failure["vendor_code_confidence"],
    )  # fmt: skip


def test_a_foreign_machine_is_not_called(tmp_path: Path) -> None:
    """The target policy is told in one sentence, with the flag that changes it."""
    done = run_here(
        "device", "192.168.77.77", "--state", str(tmp_path), "--once", "--auth-key", "k", "--token", "0" * 16
    )

    assert 3 == done.returncode
    assert "--i-own 192.168.77.77" in done.stderr


def test_the_dump_is_readable_and_without_the_key(server: ServerProcess, key: str, tmp_path: Path) -> None:
    """Requests, answers and messages, the key masked."""
    dump = tmp_path / "dump.txt"
    arguments = ("--auth-key", key, "--token", server.about["token"], "--protocol-dump", str(dump))
    _device(server, tmp_path / "d", *arguments)
    text = dump.read_text()

    assert "POST /device-connector/device/.well-known/est/simpleenroll" in text
    assert '"type":"welcome"' in text
    assert key not in text
    assert "d2VsY29tZS1rZXk" not in text


def test_two_devices_on_one_folder(server: ServerProcess, key: str, tmp_path: Path) -> None:
    """The second is refused with a sentence; Ctrl-C ends the first with exit code 0."""
    command = [
        *UMSLAB, "device", f"localhost:{server.port}", "--state", str(tmp_path), "--auth-key", key, "--token",
        server.about["token"],
    ]  # fmt: skip
    first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=clean_environment())
    assert first.stdout is not None
    with first.stdout:
        while "managed" not in first.stdout.readline():
            pass
        second = _device(server, tmp_path)
        first.send_signal(signal.SIGINT)
        rest = first.stdout.read()

    assert 1 == second.returncode
    assert "another device runs" in second.stderr
    assert 0 == first.wait(20)
    assert "stopping" in rest


def test_damaged_state(server: ServerProcess, key: str, tmp_path: Path) -> None:
    """A broken file is named with exit code 1 or 3, never a traceback."""
    _device(server, tmp_path, "--auth-key", key, "--token", server.about["token"])
    for name in ("identity.pem", "device.json"):
        (tmp_path / "device" / name).write_text("nonsense")
        done = _device(server, tmp_path)

        assert done.returncode in {1, 3}
        assert name in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [("boot_second = 1", "unknown key boot_second"), ("app_failure = 2", "line 1: app_failure"), ("x", "not TOML")],
)
def test_a_wrong_behaviour_file(tmp_path: Path, text: str, words: str) -> None:
    """File and key are named; exit code 2."""
    file = tmp_path / "behaviour.toml"
    file.write_text(text)
    done = run_here(
        "device", "localhost", "--state", str(tmp_path), "--once", "--token", "0" * 16, "--behaviour", str(file)
    )

    assert 2 == done.returncode
    assert words in done.stderr
    assert str(file) in done.stderr


def test_a_behaviour_file(server: ServerProcess, key: str, tmp_path: Path) -> None:
    """It is read, and the device comes on board."""
    file = tmp_path / "behaviour.toml"
    file.write_text("battery = true\nboot_seconds = 1\n")
    done = _device(server, tmp_path, "--auth-key", key, "--token", server.about["token"], "--behaviour", str(file))

    assert (0, "") == (done.returncode, done.stderr)


def test_a_device_that_finds_its_ums(server: ServerProcess, key: str, tmp_path: Path) -> None:
    """By a lease, as hexadecimal digits and as a file; then by what it has stored."""
    port = server.port
    lease = tmp_path / "lease.txt"
    lease.write_text(f'224 = "127.0.0.1:{port}"\n')
    way = ("device", "--once", "--json", "--trust-first-use", "--auth-key", key)
    for given, state in ((str(lease), "one"), (f'224="127.0.0.1:{port}"', "two")):
        done = run_here(*way, "--dhcp-lease", given, "--state", str(tmp_path / state))
        assert 0 == done.returncode, done.stderr
        assert '"source":"dhcp224","reason":"taken"' in done.stdout
    again = run_here("device", "--once", "--json", "--state", str(tmp_path / "one"))
    assert 0 == again.returncode, again.stderr
    assert '"source":"stored","reason":"found"' in again.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--sources", "smoke"), "sources are some of"),
        (("--dhcp-lease", "no lease!"), "neither a file"),
        (("--nameserver", "dns.example"), "name server is an IP address"),
        (("--search-domain", "a b"), "neither a host name"),
        (("localhost", "--nameserver", "127.0.0.1"), "HOST says where"),
        (("localhost", "--server", "localhost"), "name the UMS once"),
        (("localhost", "--dhcp-interface", "eth0"), "HOST says where"),
        (("--dhcp-interface", "eth0", "--dhcp-relay", "127.0.0.1"), "say how to ask: --dhcp-interface IF"),
        (("--dhcp-relay", "127.0.0.1"), "--dhcp-relay and --dhcp-giaddr belong together"),
        (("--dhcp-interface", "eth0", "--dhcp-lease", "224=aa"), "leases by itself, or"),
        (("--static", "10.0.0.9"), "--static and --static-fallback go with"),
        (("--dhcp-interface", "eth0", "--static", "10.0.0.9", "--static-fallback", "10.0.0.8"), "never asks for an"),
        (("--dhcp-interface", "eth0", "--static", "ten"), "--static: 'ten' is not an IPv4 address"),
        (("--dhcp-interface", "eth0", "--dhcp-timeout", "0"), "--dhcp-timeout must be greater than 0"),
        (("--dhcp-lease", "224=aa", "--port-code", "224"), "codes of the extra options"),
        (("--enrol-at", "localhost"), "name the UMS for the session too"),
        (("localhost", "--enrol-at", "localhost/.."), "is not a path prefix"),
    ],
)
def test_wrong_ways_to_find_it(tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    """One sentence and the exit code of wrong usage."""
    done = run_here("device", *options, "--state", str(tmp_path))

    assert 2 == done.returncode
    assert words in done.stderr


def test_no_packets_in_the_machine_itself(tmp_path: Path) -> None:
    """A device that is to lease on an interface of the machine is refused, whatever the user is."""
    done = run_here("device", "--dhcp-interface", "lo", "--state", str(tmp_path))

    assert 1 == done.returncode
    assert "only inside a network namespace" in done.stderr


def test_place_on_the_link(server: ServerProcess, key: str, tmp_path: Path) -> None:
    """It comes from its own address; on ports above 1023 nobody needs to be root."""
    ports = ("--probe-port", "0", "--wake-port", "0")
    done = _device(
        server, tmp_path, "--auth-key", key, "--token", server.about["token"], "--address", "127.3.5.1", *ports
    )

    assert (0, "") == (done.returncode, done.stderr)
    assert "127.3.5.1" == server.ask("devices.show", unit_id=done.stdout.split()[0])["last_ip"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--interface", "lo"), 2, "--interface belongs to --address"),
        (("--address", "somewhere"), 2, "is not an IPv4 address"),
        (("--address", "192.0.2.1", "--trust-first-use"), 1, "is not an address of this machine"),
    ],
)
def test_no_place_on_the_link(
    server: ServerProcess, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    """One sentence each."""
    done = _device(server, tmp_path, *arguments)

    assert code == done.returncode
    assert words in done.stderr
    assert "Traceback" not in done.stderr
