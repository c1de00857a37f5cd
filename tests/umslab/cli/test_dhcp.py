# SPDX-License-Identifier: Apache-2.0
"""`umslab dhcp` as a user meets it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.process import run_umslab
from tests.umslab.dhcp.pcap import dhcp, message, pcap
from umslab_protocol.wire.dhcp import MessageType
from umslab_protocol.wire.dhcp_options import Option

if TYPE_CHECKING:
    from pathlib import Path


def _dhcp(*arguments: str, stdin: str = "") -> Any:
    return run_umslab("dhcp", *arguments, stdin=stdin)


@pytest.mark.parametrize("verb", [(), ("encode",), ("decode",)])
def test_help(verb: tuple[str, ...]) -> None:
    """Every verb explains itself; the first with examples to copy."""
    done = _dhcp(*verb, "--help")

    assert (0, "") == (done.returncode, done.stderr)
    assert "Usage:" in done.stdout
    if not verb:
        assert 5 == sum(line.strip().startswith("umslab dhcp ") for line in done.stdout.splitlines())


@pytest.mark.parametrize("kind", ["dnsmasq", "dhcpd", "kea", "windows", "hex"])
def test_encode(kind: str) -> None:
    """Each server has its text."""
    done = _dhcp("encode", "--server", "ums.lab.example", "--tag", "HQ", "--exclusive", "--for", kind)

    assert (0, "") == (done.returncode, done.stderr)
    assert "D5" in done.stdout


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
