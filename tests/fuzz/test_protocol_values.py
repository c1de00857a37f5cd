# SPDX-License-Identifier: Apache-2.0
"""Any text at all, given to the parsers of umslab_protocol.values: a value, or the one declared error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.auth_key import parse_auth_key
from umslab_protocol.values.est_address import parse_est_address
from umslab_protocol.values.fingerprint import CommunicationToken, Fingerprint
from umslab_protocol.values.firmware import FirmwareVersion
from umslab_protocol.values.host_port import HostPort, parse_host, parse_host_port
from umslab_protocol.values.structure_tag import parse_structure_tag
from umslab_protocol.values.unit_id import is_locally_administered, parse_mac, parse_unit_id

if TYPE_CHECKING:
    from collections.abc import Callable

PARSERS: list[Callable[[str], Any]] = [
    parse_auth_key,
    parse_structure_tag,
    parse_unit_id,
    parse_mac,
    parse_host,
    parse_est_address,
    parse_host_port,
    Fingerprint.parse,
    CommunicationToken.parse,
    FirmwareVersion.parse,
]

anything = st.text(st.characters())  # surrogates too
nearly = st.text("0123456789abcdefABCDEF:.-[]% \n\u0660\ufb00")
texts = anything | nearly | st.integers(0, 200_000).map(lambda length: "0" * length)


@pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: parse.__qualname__)
@settings(deadline=None, max_examples=200)
@given(text=texts)
@example(text="")
@example(text="[" * 100_000)
@example(text="a." * 100_000)
@example(text=":" * 100_000)
def test_a_value_or_the_declared_error(parse: Callable[[str], Any], text: str) -> None:
    """Nothing else comes out; a value prints as something that parses to it; a message stays short and printable."""
    try:
        value = parse(text)
    except InvalidValueError as error:
        message = str(error)
    else:
        message = ""

        assert value == parse(str(value))

    assert len(message) < 300
    assert message.isprintable()


@settings(deadline=None, max_examples=100)
@given(st.from_regex(r"[0-9A-F]{12}|85641000[0-9A-Z]{10}", fullmatch=True))
def test_every_unit_id(text: str) -> None:
    """Both documented forms, whatever the digits."""
    unit_id = parse_unit_id(text)

    assert text == unit_id
    assert is_locally_administered(unit_id) in {True, False}


@settings(deadline=None, max_examples=100)
@given(st.ip_addresses(), st.integers(1, 65535))
def test_every_address(address: Any, port: int) -> None:
    """Any literal address with any port, printed and read again."""
    target = HostPort(str(address), port)

    assert target == parse_host_port(str(target))


@settings(deadline=None, max_examples=100)
@given(st.binary(min_size=32, max_size=32))
def test_every_fingerprint(digest: bytes) -> None:
    """Four parts make the whole, and its third part is the token."""
    fingerprint = Fingerprint.of_digest(digest)

    assert digest == bytes.fromhex("".join(fingerprint.parts))
    assert fingerprint == Fingerprint.parse(str(fingerprint))
    assert fingerprint.token == CommunicationToken.parse(fingerprint.parts[2].lower())
