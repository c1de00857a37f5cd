# SPDX-License-Identifier: Apache-2.0
"""Any bytes, given to what reads lease files, captures and hexadecimal digits: samples, or the one declared error."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.umslab.dhcp.pcap import block, dhcp, enhanced, message, pcap, section
from umslab.dhcp.captures import CaptureError, read_capture
from umslab.dhcp.digits import NotDigitsError, read_digits
from umslab.dhcp.lease_files import LeaseFileError, read_lease_file
from umslab.dhcp.samples import Form, UnreadableError, read_samples
from umslab.dhcp.telling import document, sentences
from umslab.facts import parse_facts
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE
from umslab_protocol.wire.dhcp import MessageType
from umslab_protocol.wire.dhcp_options import Option
from umslab_protocol.wire.igel_dhcp import interpret

if TYPE_CHECKING:
    from collections.abc import Callable

CAPTURES = [
    pcap(*dhcp(message(MessageType.DISCOVER), message(MessageType.ACK, Option(224, b"ums")))),
    section("<", 1) + b"".join(enhanced(frame) for frame in dhcp(message(MessageType.OFFER, Option(43, b"\xe0\x01a")))),
]
words = st.sampled_from(
    ["lease", "lease6", "{", "}", ";", "option", "unknown-224", "igelrmserver", '"', "\\", '"ums"', "e0:3",
     "#", "\n", " ", "interface", '"eth0"', "10.0.0.1", "ADDRESS=", "OPTION_224=", "VENDOR_SPECIFIC=", "e0", "224=",
     "=", "0x", "\\300", "0000", "00000010  ", "\\x", "hex:"]
)  # fmt: skip
texts = st.lists(words | st.text(max_size=4), max_size=40).map(" ".join) | st.lists(words, max_size=30).map("".join)

NOTATIONS = [
    bytes.hex,
    lambda data: data.hex(":").upper(),
    lambda data: data.hex(" ", -2),
    lambda data: ",".join(f"0x{byte:x}" for byte in data),
    lambda data: "".join(f"\\x{byte:02x}" for byte in data),
    lambda data: f'"Value"=hex:{data.hex(",")}',
    lambda data: dump(data, "{:08x}: ", "  {}"),
    lambda data: dump(data, "{:04X}  ", "    |{}|"),
    lambda data: dump(data, "{:07o} ", ""),
]

pieces = st.lists(st.sampled_from(["| P1 | ", "a", " | ", "|\n", "## ", "`", "[x](y)"]))


def dump(data: bytes, offset: str, characters: str) -> str:
    """Write 16 bytes to a row, between their offset and their characters."""
    rows = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        shown = "".join(chr(byte) if 0x20 < byte < 0x7F else "." for byte in row)
        rows.append(f"{offset.format(at)}{row.hex(' '):47}{characters.format(shown)}".rstrip())
    return "\n".join(rows)


def look(data: bytes, form: Form = Form.AUTO) -> None:
    """Read, interpret and tell."""
    with suppress(UnreadableError):
        samples = read_samples(data, form)
        for sample in samples.found:
            view = interpret(sample.options, DEFAULT_FIRMWARE)

            assert sentences(sample, view)
            assert document(sample, view)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=400) | texts.map(lambda text: text.encode("utf-8", "replace")), st.sampled_from(Form))
@example(b"\x30", Form.AUTO)
def test_anything(data: bytes, form: Form) -> None:
    """Whatever it is taken for."""
    look(data, form)


@settings(deadline=None, max_examples=200)
@given(texts.map("lease {{ {} }}".format) | texts)
def test_lease_files(text: str) -> None:
    """Statements in any disorder."""
    with suppress(LeaseFileError):
        assert read_lease_file(text)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(CAPTURES), st.integers(0, 500), st.binary(max_size=8), st.integers(0, 8))
def test_mutated_captures(data: bytes, at: int, inserted: bytes, deleted: int) -> None:
    """A capture with a few bytes changed somewhere."""
    look(data[:at] + inserted + data[at + deleted :])


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 7), st.binary(max_size=40)), max_size=10), st.sampled_from("<>"))
def test_any_blocks(blocks: list[tuple[int, bytes]], order: str) -> None:
    """Sections with any blocks, whatever they hold."""
    with suppress(CaptureError):
        capture = read_capture(section(order, 1) + b"".join(block(kind, body, order) for kind, body in blocks))

        assert capture.packets <= len(blocks)


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=200) | pieces.map("".join))
def test_facts(text: str) -> None:
    """The reader of our own document."""
    assert all(re.fullmatch(r"[A-Z]+\d+[A-Z]?", number) for number in parse_facts(text))


@settings(deadline=None, max_examples=200)
@given(st.binary(min_size=1, max_size=60), st.sampled_from(NOTATIONS))
def test_digits_both_ways(data: bytes, notation: Callable[[bytes], str]) -> None:
    """What anybody writes is what is read, but for pad bytes at the beginning, which say nothing."""
    text = notation(data)
    try:
        assert data.lstrip(b"\0") == read_digits(text).lstrip(b"\0")
    except NotDigitsError:
        assert re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3}){3}", text)


def test_bombs() -> None:
    """A megabyte of one thing takes no time worth mentioning."""
    for piece in (
        "\n",
        "lease ",
        "lease {",
        '"',
        "\\",
        "e0:",
        "e0 ",
        "#",
        "{",
        "224=",
        "A=",
        " ",
        "1 ",
        "0x",
        "0000 ",
        "0000\n",
        "\\x",
    ):
        look((piece * (1_000_000 // len(piece))).encode())
