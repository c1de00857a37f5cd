# SPDX-License-Identifier: Apache-2.0
"""The protocol dump is readable, private and without secrets."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from umslab.protocol_dump import MAX_UNIT_BYTES, ProtocolDump, TappedCodec
from umslab_protocol.wire.codec import JsonCodec
from umslab_protocol.wire.messages import Ack

if TYPE_CHECKING:
    from pathlib import Path


def test_the_key_is_masked(tmp_path: Path) -> None:
    """The Authorization header shows its scheme and nothing more, however it is spelled."""
    head = b"POST /x HTTP/1.1\r\nAuthorization: Basic c2VjcmV0\r\nauthorization:Basic YWJj\r\n\r\n"
    with ProtocolDump(tmp_path / "dump") as dump:
        dump(">", "http request", head + b"body")

    text = (tmp_path / "dump").read_text()
    assert "c2VjcmV0" not in text
    assert "YWJj" not in text
    assert text.count("***") == 2
    assert "    POST /x HTTP/1.1\n" in text
    assert "    body\n" in text


def test_it_is_private_and_appends(tmp_path: Path) -> None:
    """Mode 0600; a second run adds to the first."""
    for _ in range(2):
        with ProtocolDump(tmp_path / "dump") as dump:
            dump("<", "message", b"{}")

    assert stat.S_IMODE((tmp_path / "dump").stat().st_mode) == 0o600
    assert (tmp_path / "dump").read_text().count("< message, 2 bytes") == 2


def test_bytes_and_length_are_tamed(tmp_path: Path) -> None:
    """What is not text is escaped; what is very long is cut."""
    with ProtocolDump(tmp_path / "dump") as dump:
        dump("<", "message", b"\x1b[2J\xff" + b"x" * (2 * MAX_UNIT_BYTES))

    text = (tmp_path / "dump").read_text()
    assert "\x1b" not in text
    assert "cut after" in text
    assert len(text) < MAX_UNIT_BYTES + 1_000


def test_a_tapped_codec_shows_both_directions(tmp_path: Path) -> None:
    """Messages pass unchanged and are seen."""
    seen: list[tuple[str, str, bytes]] = []
    codec = TappedCodec(JsonCodec(), lambda direction, what, text: seen.append((direction, what, text)))
    payload = codec.encode(Ack(re=1))

    assert Ack(re=1) == codec.decode(payload)
    assert [(">", "message", payload), ("<", "message", payload)] == seen
