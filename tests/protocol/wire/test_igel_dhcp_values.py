# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.wire.igel_dhcp_values."""

from __future__ import annotations

import pytest

from umslab_protocol.wire.igel_dhcp_values import (
    Reader,
    Unusable,
    read_hash,
    read_key,
    read_port,
    read_server,
    read_tag,
)


@pytest.mark.parametrize("value", [b"ums.example", b"192.0.2.10", b"UMS-1", b"um1", b"ums1"])
def test_good_servers(value: bytes) -> None:
    """Names and addresses as text, also of four letters: nothing to remark."""
    found = read_server(value)

    assert value.decode() == found.value
    assert () == found.remarks


@pytest.mark.parametrize(
    ("value", "server", "word"),
    [
        (b"ums.example\0", "ums.example", "NUL"),
        (b"ums\0", "ums", "NUL"),
        (b" ums.example ", "ums.example", "white space"),
        (b"ums.example\r\n", "ums.example", "white space"),
        (b"a.example b.example", "a.example", "list"),
        (b"a.example;b.example", "a.example", "list"),
        (b"ums.example:30001", "ums.example", "30001"),
        (b"2001:db8::1", "2001:db8::1", "IPv6"),
    ],
)
def test_odd_servers(value: bytes, server: str, word: str) -> None:
    """They can be used; what is odd is said in one sentence."""
    found = read_server(value)

    assert server == found.value
    assert word in " ".join(remark.text for remark in found.remarks)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (b"", "empty"),
        (b"\0\0", "empty"),
        (b"   ", "empty"),
        (b"\xc0\x00\x02\x0a", "DWORD or IP address (192.0.2.10)"),
        (b"\x0a\x00\x00\x00", "DWORD or IP address (10.0.0.0)"),
        (b"\xff\xfe\x01", "3 bytes that are no text (fffe01)"),
        (bytes(range(1, 30)), "..."),
        (b"um\0s.example", "no text"),
        (b"https://ums.example:8443/", "URL"),
        (b'"ums.example"', "quotation marks"),
        (b",;", "names nothing"),
        (b"ums_.example:0", "port"),
        (b"-ums", "neither a host name"),
        ("ümS.example".encode(), "neither a host name"),
        (b"x" * 300, "neither a host name"),
    ],
)
def test_unusable_servers(value: bytes, word: str) -> None:
    """The reason is named, and short."""
    with pytest.raises(Unusable) as caught:
        read_server(value)

    assert word in caught.value.remark.text
    assert len(caught.value.remark.text) < 200


def test_a_long_list_is_cut() -> None:
    """Sixteen servers are enough."""
    found = read_server(b" ".join(b"u%d" % number for number in range(100)))

    assert ("u0", 15) == (found.value, len(found.others))


def test_tags() -> None:
    """Free text, also with umlauts; not longer than a tag may be."""
    assert "Köln, Haus 7" == read_tag("Köln, Haus 7".encode()).value
    with pytest.raises(Unusable, match="100"):
        read_tag(b"x" * 101)
    with pytest.raises(Unusable, match="no text"):
        read_tag(b"a\nb")


@pytest.mark.parametrize(("value", "port"), [(b"8443", "8443"), (b"\x20\xfb", "8443"), (b"12", "12"), (b"080\0", "80")])
def test_ports(value: bytes, port: str) -> None:
    """As text or as two bytes."""
    assert port == read_port(value).value


def test_hashes() -> None:
    """32 bytes, or hexadecimal digits in any notation."""
    assert "AB" * 32 == read_hash(b"\xab" * 32).value == read_hash(b"ab:" * 31 + b"ab").value


@pytest.mark.parametrize(
    ("read", "value"),
    [(read_port, b"0"), (read_port, b"65536"), (read_port, b"\0\0"), (read_port, b"web"), (read_hash, b"abc")],
)
def test_unusable_details(read: Reader, value: bytes) -> None:
    """Each with its reason."""
    with pytest.raises(Unusable):
        read(value)


def test_a_key_is_never_repeated() -> None:
    """Not even when it is wrong."""
    assert "welcome-2026" == read_key(b"welcome-2026").value
    with pytest.raises(Unusable) as caught:
        read_key(b"two words")

    assert "two" not in caught.value.remark.text
