# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.values.host_port."""

from __future__ import annotations

import pytest

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.host_port import DEFAULT_WEB_PORT, HostPort, parse_host, parse_host_port

LABEL = "a" * 63
LONGEST = f"{LABEL}.{LABEL}.{LABEL}.{LABEL}"  # 255 characters (S5)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("igelrmserver", "igelrmserver", DEFAULT_WEB_PORT),
        ("ums.example:443", "ums.example", 443),
        ("ums.example:1", "ums.example", 1),
        ("ums.example:65535", "ums.example", 65535),
        ("ums.example:08443", "ums.example", 8443),
        ("192.0.2.7", "192.0.2.7", DEFAULT_WEB_PORT),
        ("192.0.2.7:30001", "192.0.2.7", 30001),
        ("2001:db8::1", "2001:db8::1", DEFAULT_WEB_PORT),
        ("::1", "::1", DEFAULT_WEB_PORT),
        ("[2001:db8::1]", "2001:db8::1", DEFAULT_WEB_PORT),
        ("[2001:db8::1]:9443", "2001:db8::1", 9443),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.7", DEFAULT_WEB_PORT),
        ("[fe80::1%eth0]:9443", "fe80::1%eth0", 9443),
    ],
)
def test_parse(text: str, host: str, port: int) -> None:
    """Names and both kinds of addresses, with and without a port."""
    assert HostPort(host, port) == parse_host_port(text)


def test_another_default_port() -> None:
    """The caller says which port is meant when none is given; a given one wins."""
    assert 30001 == parse_host_port("ums", default_port=30001).port
    assert 8443 == parse_host_port("ums:8443", default_port=30001).port


def test_default_web_port() -> None:
    """The documented one (P1)."""
    assert 8443 == DEFAULT_WEB_PORT


@pytest.mark.parametrize(
    "port", ["", "0", "65536", "99999", "008443", "-1", "+1", " 1", "8443 ", "http", "\u0661", "1\n", "9" * 10_000]
)
def test_a_bad_port(port: str) -> None:
    """The message says which numbers would do."""
    with pytest.raises(InvalidValueError, match="is not a port: expected a number from 1 to 65535") as caught:
        parse_host_port(f"ums:{port}")

    assert len(str(caught.value)) < 100


@pytest.mark.parametrize("text", ["[ums]", "[192.0.2.7]:80", "[]", "[::1%]", "[fe80::1%eth 0]"])
def test_brackets_are_for_ipv6(text: str) -> None:
    """The message says what was expected in them."""
    with pytest.raises(InvalidValueError, match="in brackets is not an IPv6 address"):
        parse_host_port(text)


@pytest.mark.parametrize(
    "text", ["", ":8443", "[::1", "[::1]8443", "[::1]:84\n43", "a:b:c", "1:2:3:4:5:6:7:8:9", "https://ums"]
)
def test_neither_name_nor_address(text: str) -> None:
    """Whatever cannot be split into host and port is refused."""
    with pytest.raises(InvalidValueError):
        parse_host_port(text)


@pytest.mark.parametrize(
    "host", ["a", "A-b_c", "ums.example.", "3com.example", LABEL, LONGEST, "xn--bcher-kva.example"]
)
def test_names(host: str) -> None:
    """Letters, digits, hyphens inside, underscores, a final dot; spelling is kept (S8)."""
    assert host == parse_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "..",
        "a..b",
        ".a",
        "-a",
        "a-",
        "a.-b",
        "a" * 64,
        LONGEST + ".",
        "two words",
        "tab\t",
        "line\n",
        "nul\0",
        "bücher.example",
        "user@ums",
        "ums/path",
        "*",
    ],
)
def test_not_names(host: str) -> None:
    """What no resolver takes, or what would mean something else in a URL or a header, is refused."""
    with pytest.raises(InvalidValueError, match="is neither a host name nor an IP address"):
        parse_host(host)


@pytest.mark.parametrize("host", ["1", "1.2.3", "256.1.1.1", "1.2.3.4.5", "01.2.3.4", "1.2.3.4."])
def test_broken_addresses_are_not_names(host: str) -> None:
    """Some resolvers would take these for an address, each for another one."""
    with pytest.raises(InvalidValueError):
        parse_host(host)


@pytest.mark.parametrize("scope", ["a b", "x\r\nHost: elsewhere", "sixteen-letters0", "a%b", "é"])
def test_a_scope_is_an_interface_name(scope: str) -> None:
    """What stands behind the percent sign ends up in headers, so it is checked."""
    with pytest.raises(InvalidValueError):
        parse_host(f"fe80::1%{scope}")


def test_a_long_text_is_cut() -> None:
    """The message shows only its beginning."""
    with pytest.raises(InvalidValueError) as caught:
        parse_host("a" * 100_000)

    assert len(str(caught.value)) < 150


@pytest.mark.parametrize("text", ["ums.example:8443", "192.0.2.7:1", "[2001:db8::1]:443"])
def test_text(text: str) -> None:
    """What is printed can be typed in again."""
    assert text == str(parse_host_port(text))
