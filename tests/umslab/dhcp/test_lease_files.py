# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab.dhcp.lease_files, with files as the programs write them."""

from __future__ import annotations

import pytest

from umslab.dhcp.lease_files import LeaseFileError, is_lease_file, read_lease_file
from umslab_protocol.wire.dhcp_options import Option

DHCLIENT = """\
default-duid "\\000\\001\\000\\001-\\013";
# made by dhclient 4.4.3 from dnsmasq 2.90
lease {
  interface "eth0";
  fixed-address 10.77.9.9;
  option unknown-224 "old.example";
  expire 0 2026/11/21 00:29:12;
}
lease {
  interface "eth0";
  fixed-address 10.77.9.10;
  option subnet-mask 255.255.0.0;
  option routers 10.77.0.1;
  option dhcp-lease-time 120;
  option domain-name-servers 10.77.0.1,10.77.0.2;
  option igelrmserver "192.0.2.10";
  option unknown-226 "HQ\\054 \\"K\\303\\266ln\\"";
  option vendor-encapsulated-options e2:2:48:51:e0:a:31:39:32:2e:30:2e:32:2e:31:30:1:1:1:ff;
  renew 0 2026/11/22 00:28:04;
}
lease {
  interface "wlan0";
  fixed-address 10.78.0.5;
  option unknown-224 2f;
}
lease6 { interface "eth0"; ia-na c5:00 { starts 1; iaaddr 2001:db8::1 { starts 1; } } option dhcp6.client-id 0:1; }
"""
NETWORKD = """\
# This is private data. Do not parse.
ADDRESS=10.77.9.10
NETMASK=255.255.0.0
ROUTER=10.77.0.1
SERVER_ADDRESS=10.77.0.1
LIFETIME=120
DNS=10.77.0.1
VENDOR_SPECIFIC=e003756d73
OPTION_224=756d732e6578616d706c65
OPTION_226=4851
"""


def test_dhclient() -> None:
    """The newest lease of each interface; names, numbers, quoted texts and bytes."""
    first, second = read_lease_file(DHCLIENT)

    assert ("dhclient", "eth0", "10.77.9.10") == (first.writer, first.interface, first.address)
    assert (
        Option(224, b"192.0.2.10"),
        Option(226, 'HQ, "Köln"'.encode()),
        Option(43, bytes.fromhex("e2024851e00a3139322e302e322e3130010101ff")),
    ) == first.options
    assert ("1 older lease of this interface in the same file",) == first.remarks
    assert ("wlan0", (Option(224, b"/"),)) == (second.interface, second.options)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"a\"b"', b'a"b'),
        (r'"a\\b"', b"a\\b"),
        (r'"\300\000\002\012"', b"\xc0\x00\x02\x0a"),
        (r'"tab\there\n"', b"tab\there\n"),
        (r'"\x41\q"', b"Aq"),
        ('"a;b}{#c"', b"a;b}{#c"),
        ('"Köln"', "Köln".encode()),
        ("c0:0:2:a", b"\xc0\x00\x02\x0a"),
        ("192.0.2.10", b"\xc0\x00\x02\x0a"),
        ("192.0.2.10,10.0.0.1", b"\xc0\x00\x02\x0a\x0a\x00\x00\x01"),
        ('""', b""),
    ],
)
def test_values_of_dhclient(text: str, value: bytes) -> None:
    """Its quoting, undone."""
    (record,) = read_lease_file(f"lease {{ option unknown-224 {text}; }}")

    assert (Option(224, value),) == record.options


@pytest.mark.parametrize("name", ["igel.igelrmserver", "option-224", "unknown-224", "igelrmserver"])
def test_names_of_options(name: str) -> None:
    """As dhclient.conf may call them."""
    (record,) = read_lease_file(f'lease {{ option {name} "ums"; option unknown-999 1; option unknown-0 1; }}')

    assert (Option(224, b"ums"),) == record.options


def test_networkd() -> None:
    """The lines of systemd-networkd, and of NetworkManager that came from it."""
    (record,) = read_lease_file(NETWORKD)

    assert "10.77.9.10" == record.address
    assert (Option(43, b"\xe0\x03ums"), Option(224, b"ums.example"), Option(226, b"HQ")) == record.options
    assert () == record.remarks


def test_newer_network_manager_keeps_nothing() -> None:
    """Only the address: said so."""
    (record,) = read_lease_file("# This is private data. Do not parse.\nADDRESS=10.77.9.10\n")

    assert () == record.options
    assert "NetworkManager" in record.remarks[0]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("1795307352 00:e0:c5:00:00:01 10.77.9.10 * *\n", "dnsmasq"),
        ("1795307352 00:e0:c5:00:00:01 10.77.9.10 host 01:00:e0:c5:00:00:01\n", "dnsmasq"),
        ("duid 00:01:00:01:2c\n", "dnsmasq"),
        ("# The format of this file\nlease 10.77.9.10 {\n  starts 0;\n}\n", "dhcpd"),
        ("address,hwaddr,client_id,valid_lifetime,expire\n10.0.0.1,00:01,,60,1\n", "Kea"),
    ],
)
def test_lease_files_of_servers(text: str, name: str) -> None:
    """They do not have the options, and the message says what does."""
    assert is_lease_file(text)
    with pytest.raises(LeaseFileError, match=f"server \\({name}\\).*of a client"):
        read_lease_file(text)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('lease { option unknown-224 "open; }', "quotation mark"),
        ("lease { option unknown-224 ums; }", "neither a text in quotes nor bytes"),
        ("lease { option unknown-224 zz:1; }", "neither"),
        ("lease { interface x;", "no whole lease"),
        ("lease6 { interface x; }", "no whole lease"),
        ("NAME=value\n", "ADDRESS is missing"),
        ("ADDRESS=1.2.3.4\nOPTION_224=xyz\n", "hexadecimal"),
    ],
)
def test_unreadable(text: str, word: str) -> None:
    """One sentence that says why."""
    assert is_lease_file(text)
    with pytest.raises(LeaseFileError, match=word):
        read_lease_file(text)


@pytest.mark.parametrize("text", ["", "01:01:01", "224 = 75", "hello world", "\n" * 9, "release {"])
def test_other_texts(text: str) -> None:
    """Not taken for lease files."""
    assert not is_lease_file(text)
