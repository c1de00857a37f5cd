# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.values.est_address."""

from __future__ import annotations

import pytest

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.est_address import MAX_EST_ADDRESS_CHARACTERS, EstAddress, parse_est_address
from umslab_protocol.values.host_port import HostPort

LABEL = "a" * 63
LONGEST = f"{LABEL}.{LABEL}.{LABEL}.{LABEL}:65535/{'b' * 254}"


@pytest.mark.parametrize(
    ("text", "host", "port", "prefix"),
    [
        ("ums.example", "ums.example", 8443, ""),
        ("ums.example/", "ums.example", 8443, ""),
        ("[2001:db8::1]:443/est", "2001:db8::1", 443, "/est"),
        ("ums:443/.well-known/est/", "ums", 443, "/.well-known/est"),
        (
            "ums/device-connector/device/.well-known/est",  # S7's example
            "ums",
            8443,
            "/device-connector/device/.well-known/est",
        ),
        (LONGEST, LONGEST[:255], 65535, LONGEST[-255:]),
    ],
)
def test_parse(text: str, host: str, port: int, prefix: str) -> None:
    """With and without port and prefix; what is written reads the same again."""
    read = parse_est_address(text)

    assert EstAddress(HostPort(host, port), prefix) == read == parse_est_address(str(read))
    assert len(str(read)) <= MAX_EST_ADDRESS_CHARACTERS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/est",
        "ums//est",
        "ums/a b",
        "ums/../est",
        "ums/./est",
        "ums/est?x",
        "ums/est#x",
        "ums/%2e",
        "ums/é",
        "ums/est\n",
        "https://ums/est",
        f"ums/{'b' * 255}",
    ],
)
def test_refused(text: str) -> None:
    """Anything else, with a reason."""
    with pytest.raises(InvalidValueError):
        parse_est_address(text)
