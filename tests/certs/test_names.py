# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_certs.names."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from umslab_certs.chain import to_pem
from umslab_certs.errors import Fault
from umslab_certs.keys import KeyType
from umslab_certs.names import covers, subject_names

from .pki import NOW, make, openssl, refused

if TYPE_CHECKING:
    from umslab_certs.authority import Authority


def test_names_and_addresses_in_order() -> None:
    """Names and addresses of both families keep their order, doubles go, localhost comes last."""
    names = subject_names(["ums.lab.example", "192.0.2.7", "UMS", "2001:db8::7", "192.0.2.7", "ums.lab.example."])

    assert list(names) == [
        x509.DNSName("ums.lab.example"),
        x509.IPAddress(ip_address("192.0.2.7")),
        x509.DNSName("UMS"),
        x509.IPAddress(ip_address("2001:db8::7")),
        x509.DNSName("localhost"),
    ]


def test_localhost_is_there_once() -> None:
    """T17: localhost is always a name, wherever it was given."""
    assert list(subject_names([])) == [x509.DNSName("localhost")]
    assert list(subject_names(["localhost", "ums"])) == [x509.DNSName("localhost"), x509.DNSName("ums")]


@pytest.mark.parametrize("text", ["", "a b", "-ums", "ums..lab", "*.lab.example", "999.1.1.1", "a" * 64, "http://ums"])
def test_bad_names_are_refused(text: str) -> None:
    """What is neither a host name nor an address is refused by its text."""
    with refused(Fault.BAD_NAME, repr(text)[:50]):
        subject_names(["ums", text])


def test_international_names_get_a_hint() -> None:
    """Certificates carry ASCII names only."""
    with refused(Fault.BAD_NAME, "xn--"):
        subject_names(["müller.example"])


def test_zone_is_refused() -> None:
    """A zone has a meaning on one machine only and would be dropped silently."""
    with refused(Fault.BAD_NAME, "zone"):
        subject_names(["fe80::1%eth0"])


def test_covers_agrees_with_openssl(root: Authority) -> None:
    """For names and addresses, ours and the verdict of `openssl x509 -checkhost/-checkip` are the same."""
    certificate, _ = root.issue_server(
        subject_names(["ums.lab.example", "192.0.2.7", "2001:db8::7"]), KeyType.P256, now=NOW
    )
    hosts = ["ums.lab.example", "UMS.Lab.Example", "lab.example", "a.ums.lab.example", "localhost", "ums"]
    addresses = ["192.0.2.7", "192.0.2.8", "2001:db8::7", "2001:DB8:0::7", "::1"]

    for host in hosts + addresses:
        check = "-checkip" if host in addresses else "-checkhost"
        verdict = openssl("x509", "-noout", check, host, given=to_pem([certificate]))
        assert covers(certificate, host) == ("does match" in verdict), host
    assert covers(certificate, "ums.lab.example.")


@pytest.mark.parametrize("pattern", ["*.lab.example", "*.example", "*", "u*.lab.example"])
def test_wildcards_agree_with_openssl(pattern: str) -> None:
    """Company chains have wildcards: for one whole label, and not directly below a top-level domain."""
    certificate = make("wild", names=[pattern]).certificate

    for host in ["ums.lab.example", "lab.example", "a.b.lab.example", "example", "ums.example", "localhost"]:
        if pattern.startswith("u"):
            expected = False  # openssl takes partial wildcards, Python's ssl module tells it not to
        else:
            expected = "does match" in openssl("x509", "-noout", "-checkhost", host, given=to_pem([certificate]))
        assert covers(certificate, host) == expected, host
    assert not covers(certificate, ".lab.example")


def test_common_name_covers_nothing() -> None:
    """Without a subjectAltName no host is covered, whatever the common name says."""
    assert not covers(make("ums.lab.example").certificate, "ums.lab.example")
