# SPDX-License-Identifier: Apache-2.0
"""Any bytes, given to what reads lease files, captures and hexadecimal digits: samples, or the one declared error."""

from __future__ import annotations

import re
from contextlib import suppress

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.umslab.dhcp.pcap import block, dhcp, enhanced, message, pcap, section
from umslab.dhcp.captures import CaptureError, read_capture
from umslab.dhcp.lease_files import LeaseFileError, read_lease_file
from umslab.dhcp.samples import Form, UnreadableError, read_samples
from umslab.dhcp.telling import document, sentences
from umslab.facts import parse_facts
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE
from umslab_protocol.wire.dhcp import MessageType
from umslab_protocol.wire.dhcp_options import Option
from umslab_protocol.wire.igel_dhcp import interpret

CAPTURES = [
    pcap(*dhcp(message(MessageType.DISCOVER), message(MessageType.ACK, Option(224, b"ums")))),
    section("<", 1) + b"".join(enhanced(frame) for frame in dhcp(message(MessageType.OFFER, Option(43, b"\xe0\x01a")))),
]
words = st.sampled_from(
    ["lease", "lease6", "{", "}", ";", "option", "unknown-224", "igelrmserver", '"', "\\", '"ums"', "e0:3",
     "#", "\n", " ", "interface", '"eth0"', "10.0.0.1", "ADDRESS=", "OPTION_224=", "VENDOR_SPECIFIC=", "e0", "224=",
     "=", "0x", "\\300"]
)  # fmt: skip
texts = st.lists(words | st.text(max_size=4), max_size=40).map(" ".join) | st.lists(words, max_size=30).map("".join)

pieces = st.lists(st.sampled_from(["| P1 | ", "a", " | ", "|\n", "## ", "`", "[x](y)"]))


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


def test_bombs() -> None:
    """A megabyte of one thing takes no time worth mentioning."""
    for piece in ("\n", "lease ", "lease {", '"', "\\", "e0:", "e0 ", "#", "{", "224=", "A=", " ", "1 ", "0x"):
        look((piece * (1_000_000 // len(piece))).encode())
