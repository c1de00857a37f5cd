# SPDX-License-Identifier: Apache-2.0
"""`umslab dhcp` as a user meets it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.here import run_here
from tests.umslab.dhcp.pcap import dhcp, message, pcap
from umslab_protocol.wire.dhcp import MessageType
from umslab_protocol.wire.dhcp_options import Option

if TYPE_CHECKING:
    from pathlib import Path


def _dhcp(*arguments: str, stdin: str = "") -> Any:
    return run_here("dhcp", *arguments, stdin=stdin)


@pytest.mark.parametrize("verb", [(), ("encode",), ("decode",), ("lease",), ("leases",)])
def test_help(verb: tuple[str, ...]) -> None:
    """Every verb explains itself, with examples to copy."""
    done = _dhcp(*verb, "--help")

    assert (0, "") == (done.returncode, done.stderr)
    assert "Usage:" in done.stdout
    examples = [line for line in done.stdout.partition("Examples:")[2].splitlines() if "umslab dhcp " in line]
    assert len(examples) >= (9 if not verb else 2)
    assert all(f"umslab dhcp {' '.join(verb)}" in line for line in examples)


@pytest.mark.parametrize("kind", ["dnsmasq", "dhcpd", "kea", "windows", "hex"])
def test_encode(kind: str) -> None:
    """Each server has its text."""
    done = _dhcp("encode", "--server", "ums.lab.example", "--tag", "HQ", "--exclusive", "--for", kind)

    assert (0, "") == (done.returncode, done.stderr)
    assert "D5" in done.stdout
    shown = json.loads(_dhcp("encode", "--server", "ums", "--for", kind, "--json").stdout)["encoded"]
    assert (kind, True) == (shown["for"], "D2" in shown["configuration"])


def test_what_encode_prints_decode_reads() -> None:
    """Bytes go from one to the other."""
    printed = _dhcp("encode", "--server", "192.0.2.10", "--tag", "HQ", "--for", "hex").stdout
    done = _dhcp("decode", "-", "--firmware", "11.03.500", "--json", stdin=printed)
    shown = json.loads(done.stdout)

    assert (0, 1) == (done.returncode, shown["version"])
    (found,) = shown["dhcp"]["found"]
    assert ("192.0.2.10", None, "11.3.500") == (found["server"], found["tag"], found["firmware"])


def test_decode_arguments() -> None:
    """Digits in one argument or several, and pairs."""
    for what in (["e003756d73"], ["e0", "03", "75", "6d", "73"], ['224="ums"', "226=4851"]):
        done = _dhcp("decode", *what)

        assert 0 == done.returncode
        assert "takes ums as its UMS" in done.stdout


def test_decode_files(tmp_path: Path) -> None:
    """A lease and a capture; what a server put into a value does not write on the terminal."""
    (tmp_path / "lease").write_text('lease { interface "eth0"; option unknown-224 "ums"; }')
    (tmp_path / "dump").write_bytes(
        pcap(*dhcp(message(MessageType.DISCOVER), message(MessageType.ACK, Option(224, b"\x1b[2Jums"))))
    )
    lease, dump = _dhcp("decode", str(tmp_path / "lease")), _dhcp("decode", str(tmp_path / "dump"))

    assert "on eth0" in lease.stdout
    assert "packet 1: DISCOVER" in dump.stdout
    assert "Warning" in dump.stdout
    assert "\x1b" not in dump.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("decode", "xyz"), 2, "neither a file"),
        (("decode", "x" * 5000), 2, "neither a file"),
        (("decode", "-"), 1, "no bytes"),
        (("decode", "/"), 1, "directory"),
        (("decode", "e000", "--firmware", "new"), 2, "12.8.4"),
        (("decode", "e000", "--port-code", "224"), 2, "must differ"),
        (("decode", "e000", "--as", "option"), 2, "--as"),
        (("decode",), 2, "WHAT"),
        (("encode", "--server", "a b", "--for", "kea"), 2, "host name"),
        (("encode", "--server", "ums:8443", "--for", "kea"), 2, "host name"),
        (("encode", "--server", "ums"), 2, "--for"),
        (("encode", "--server", "ums", "--for", "bind"), 2, "--for"),
        (("encode", "--server", "ums", "--exclusive", "--scope", "global", "--for", "hex"), 2, "option 43"),
    ],
)
def test_errors(arguments: tuple[str, ...], code: int, word: str) -> None:
    """In words, never in a traceback."""
    done = _dhcp(*arguments)

    assert code == done.returncode
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr) < 1000


def test_the_lease_file_of_a_server(tmp_path: Path) -> None:
    """Told what it is."""
    (tmp_path / "dnsmasq.leases").write_text("1795307352 00:e0:c5:00:00:01 10.77.9.10 * *\n")
    done = _dhcp("decode", str(tmp_path / "dnsmasq.leases"))

    assert 1 == done.returncode
    assert "lease file of a server (dnsmasq)" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "say how to ask"),
        (("--interface", "eth0", "--relay", "127.0.0.1"), "say how to ask"),
        (("--relay", "127.0.0.1"), "belong together"),
        (("--interface", "eth0", "--giaddr", "127.0.0.1"), "belong together"),
        (("--relay", "ums", "--giaddr", "127.0.0.1"), "not an IPv4 address"),
        (("--relay", "127.0.0.1", "--giaddr", "127.0.0.1", "--clients", "0"), "number of clients"),
        (("--relay", "10.77.0.1", "--giaddr", "127.0.0.1", "--clients", "11"), "at most 10 clients"),
        (("--relay", "127.0.0.1", "--giaddr", "127.0.0.1", "--mac", "00:e0:c5:00:00:01"), "such as 02E0C5000001"),
        (("--interface", "eth0", "--timeout", "0"), "greater than 0"),
    ],
)
def test_lease_asks_for_what_it_needs(arguments: tuple[str, ...], words: str) -> None:
    """What cannot be meant is refused in one sentence, before anything is opened."""
    done = _dhcp("lease", *arguments)

    assert 2 == done.returncode
    assert words in done.stderr
    assert 1 == done.stderr.count("\n")


def test_leases_of_a_machine(tmp_path: Path) -> None:
    """What clients left below a folder is told, with what IGEL OS makes of it; what cannot be read has a reason."""
    folder = tmp_path / "var" / "lib" / "dhcp"
    folder.mkdir(parents=True)
    text = 'lease {\n interface "eth0";\n fixed-address 10.0.0.9;\n option unknown-224 "ums.example";\n}\n'
    (folder / "dhclient.eth0.leases").write_text(text)
    (folder / "dhclient.leases").write_text("lease {")

    done, shown = _dhcp("leases", "--under", str(tmp_path)), _dhcp("leases", "--under", str(tmp_path), "--json")
    (found,) = json.loads(shown.stdout)["leases"]["found"]

    assert (0, "") == (done.returncode, done.stderr)
    assert "ums.example" == found["server"]
    assert "It takes ums.example as its UMS" in done.stdout
    assert "Not read: " in done.stdout


def test_no_leases(tmp_path: Path) -> None:
    """A machine without any is no failure."""
    done = _dhcp("leases", "--under", str(tmp_path))

    assert 0 == done.returncode
    assert "No client of this machine left a lease" in done.stdout

    gone = _dhcp("leases", "--under", str(tmp_path / "gone"))
    assert (1, f"umslab: {tmp_path / 'gone'} is no folder\n") == (gone.returncode, gone.stderr)
