# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab.dhcp.telling."""

from __future__ import annotations

import json

import pytest

from umslab.dhcp.samples import Sample
from umslab.dhcp.telling import document, parse_firmware, sentences
from umslab_protocol.errors import InvalidValueError
from umslab_protocol.wire.dhcp_options import Option
from umslab_protocol.wire.igel_dhcp import ExtraCodes, IgelView, interpret

OS12 = parse_firmware("12.x")
EXTRA = ExtraCodes(port=240, auth_key=241, ca_hash=242)


def _told(*options: Option, extra: ExtraCodes | None = None) -> tuple[Sample, IgelView]:
    sample = Sample("these options", options, ("a note",))
    return sample, interpret(options, OS12, extra)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("12.x", "12.10.0"),
        ("12", "12.10.0"),
        ("11.x", "11.11.150"),
        ("11", "11.11.150"),
        ("11.03.500", "11.3.500"),
        ("10", "10.0.0"),
    ],
)
def test_firmware(text: str, version: str) -> None:
    """A line means its newest version that we know of."""
    assert version == str(parse_firmware(text))


@pytest.mark.parametrize("text", ["", "x", "13.x", "12.8.x", "twelve", "12.x.x"])
def test_firmware_that_is_none(text: str) -> None:
    """Told with an example."""
    with pytest.raises(InvalidValueError, match=r"12\.8\.4"):
        parse_firmware(text)


def test_sentences() -> None:
    """Most important first, facts in brackets."""
    told = sentences(*_told(Option(43, b"\x01\x01\x01\xe0\x03ums"), Option(224, b"other")))

    assert [
        "IGEL OS 12.10.0, these options:",
        "It takes ums as its UMS, from sub-option 224 of option 43 (D2, D4, D6).",
        "Option 43 is exclusive: options 224 and 226 outside of it do not count (D5).",
        "Option 224 is ignored because option 43 is exclusive (D5).",
        "Note: a note.",
    ] == told


def test_nothing_found() -> None:
    """What the device does then, and what is odd."""
    told = sentences(*_told(Option(224, bytes(3) + b"\x01")))

    assert "name igelrmserver in DNS (D1, D16)" in told[1]
    assert told[2].startswith("Warning: option 224 cannot be used: 4 bytes")


def test_lists() -> None:
    """The other addresses are listed."""
    assert "Further addresses in the list: b, c." in sentences(*_told(Option(224, b"a b c")))


def test_secrets_stay_secret() -> None:
    """Neither sentences nor JSON show a first-authentication key, not even as bytes."""
    options = (Option(224, b"ums"), Option(240, b"8443"), Option(241, b"welcome-2026"), Option(242, bytes(32)))
    sample, view = _told(*options, extra=EXTRA)
    text = "\n".join(sentences(sample, view)) + json.dumps(document(sample, view))

    assert "It takes *** as its first-authentication key, from option 241 (D11, NP15)." in text
    assert "welcome-2026" not in text
    assert b"welcome-2026".hex() not in text


def test_document() -> None:
    """Everything for machines."""
    shown = document(*_told(Option(226, b"HQ"), Option(224, b"ums ")))

    assert ("ums", "HQ", False) == (shown["server"], shown["tag"], shown["exclusive"])
    assert [{"code": 226, "hex": "4851"}, {"code": 224, "hex": "756d7320"}] == shown["options"]
    assert 1 == len(shown["warnings"])
    assert ["server", "tag"] == [row["item"] for row in shown["settings"]]
