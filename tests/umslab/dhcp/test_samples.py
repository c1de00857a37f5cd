# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab.dhcp.samples."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.umslab.dhcp.pcap import dhcp, ethernet, ip, message, pcap
from umslab.dhcp import samples
from umslab.dhcp.samples import Form, UnreadableError, read_file, read_samples
from umslab_protocol.wire.dhcp import MessageType, write_message
from umslab_protocol.wire.dhcp_options import DhcpProblem, Option

if TYPE_CHECKING:
    from pathlib import Path

SERVER = Option(224, b"ums")
VENDOR = Option(43, b"\xe0\x03ums")


@pytest.mark.parametrize(
    "text",
    ["e003756d73", "E0:03:75:6D:73", "e0 03 75 6d 73\n", "0xe0,0x03,0x75,0x6d,0x73", "e0:3:75:6d:73", "E0-03-756d-73"],
)
def test_digits(text: str) -> None:
    """In any notation: option 43."""
    (sample,) = read_samples(text.encode()).found

    assert (VENDOR,) == sample.options


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_files_of_windows(encoding: str) -> None:
    """PowerShell and its editors put a mark before the text."""
    (sample,) = read_samples('224="ums"\r\n'.encode(encoding)).found

    assert (SERVER,) == sample.options


def test_lists_of_options() -> None:
    """Told by the cookie, or by options that IGEL's option 43 does not have; or by the user."""
    fields = "350105" + "e003756d73" + "ff"

    for text in (fields, "63825363" + fields):
        assert SERVER in read_samples(text.encode()).found[0].options
    assert (SERVER,) == read_samples(b"e003756d73", Form.OPTIONS).found[0].options
    assert ("damaged",) == tuple(remark[:7] for remark in read_samples(b"e003756d73e2", Form.OPTIONS).found[0].remarks)
    assert (Option(43, bytes.fromhex(fields)),) == read_samples(fields.encode(), Form.OPTION43).found[0].options


@pytest.mark.parametrize("binary", [True, False])
def test_messages(*, binary: bool) -> None:
    """As bytes or as digits."""
    data = write_message(message(MessageType.ACK, SERVER, VENDOR))
    (sample,) = read_samples(data if binary else data.hex().encode()).found

    assert {SERVER, VENDOR} <= set(sample.options)
    assert "the ACK from 192.0.2.1 for 00:E0:C5:00:00:01, 192.0.2.50" == sample.title


def test_frames() -> None:
    """A message is found behind the headers that Wireshark copies with it."""
    frame = ethernet(ip(write_message(message(MessageType.ACK, SERVER))), vlans=1)
    (sample,) = read_samples(frame.hex().encode()).found

    assert SERVER in sample.options


def test_remarks_about_packing() -> None:
    """How options were packed is told."""
    data = write_message(message(MessageType.ACK, Option(43, b"\xe0\x03ums" + bytes((9, 250)) + bytes(250))))
    (sample,) = read_samples(data + b"x").found

    assert {"a value is split over several options (RFC 3396)", "bytes follow the End option"} == set(sample.remarks)


def test_a_request_says_who_asks() -> None:
    """Vendor class, and whether it asks for what matters."""
    data = write_message(message(MessageType.DISCOVER, Option(60, b"igel-dhcp-1"), Option(55, b"\x01\x2b\xe0")))
    read = read_samples(data)

    assert [] == read.found
    assert ["DISCOVER of 00:E0:C5:00:00:01: vendor class igel-dhcp-1, asks for 43, 224"] == read.notes
    plain = read_samples(write_message(message(MessageType.DISCOVER)))
    assert "no vendor class, asks for none" in plain.notes[0]


def test_pairs() -> None:
    """Digits or a text in quotes; split options are joined; comments are passed over."""
    (sample,) = read_samples(b'# printed by encode\n224 = 75:6d\n224="s"\n226=4851\n').found

    assert (SERVER, Option(226, b"HQ")) == sample.options


def test_leases() -> None:
    """Lease files, with interface and writer in the title."""
    (sample,) = read_samples(b'lease { interface "eth0"; fixed-address 10.0.0.5; option unknown-224 "ums"; }').found

    assert (SERVER,) == sample.options
    assert "the lease of 10.0.0.5 on eth0, written by dhclient" == sample.title


def test_captures() -> None:
    """The acknowledgement of a conversation counts; requests, refusals and malformed packets are noted."""
    conversation = [
        message(MessageType.DISCOVER),
        message(MessageType.OFFER, Option(224, b"offered")),
        message(MessageType.OFFER, Option(224, b"other"), server="192.0.2.2"),
        message(MessageType.ACK, SERVER),
        message(MessageType.OFFER, Option(224, b"lonely"), xid=8),
        message(MessageType.NAK, xid=9),
    ]
    read = read_samples(pcap(*dhcp(*conversation), ethernet(ip(b"short"))))

    assert ["packet 4, the ACK", "packet 5, the OFF"] == [sample.title[:17] for sample in read.found]
    assert {DhcpProblem.TOO_SHORT: 1} == read.malformed
    notes = "\n".join(read.notes)
    assert "packet 1: DISCOVER of 00:E0:C5:00:00:01" in notes
    assert "2 servers made offers" in notes
    assert "packet 6: the NAK from 192.0.2.1" in notes
    assert "packet 7 is malformed" in notes


def test_captures_without_dhcp() -> None:
    """Said so, with what was skipped and where reading ended."""
    read = read_samples(pcap(ethernet(ip(b"x", ports=(53, 53))), ethernet(ip(b"dhcp"))[:-1]) + b"tail")

    assert [
        "no DHCP over IPv4 in 2 packets",
        "1 packets were skipped: cut",
        "the capture was not read to its end: the file ends within a packet",
    ] == read.notes


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "no bytes"),
        (b"# only a comment\n", "no bytes"),
        (b"hello", "neither a file, nor hexadecimal digits"),
        (b"e0037", "neither a file"),
        (b"\xff\xfe\x00", "neither a file"),
        (b"999=00", "999 is not the code"),
        (b"224=xy", "quotation marks"),
        (b"224=192.0.2.10", "quotation marks"),
        (b"192.0.2.10", "neither a file"),
        (b"1795307352 00:e0:c5:00:00:01 10.77.9.10 * *", "of a server"),
        (bytes(300).hex().encode(), None),
        (write_message(message(MessageType.ACK))[:236] + b"\x63\x82\x53\x63\xe0", "option-cut"),
        (b"x" * (samples.MAX_TEXT_BYTES + 1), "no capture, and no text"),
    ],
)
def test_unreadable(data: bytes, word: str | None) -> None:
    """One sentence that says why, or what it was taken for."""
    if word is None:
        assert "option 43" in read_samples(data).found[0].title
        return
    with pytest.raises(UnreadableError, match=word):
        read_samples(data)


def test_a_message_without_type() -> None:
    """BOOTP: named, when the user says that it is a message."""
    data = write_message(replace(message(MessageType.ACK), options=(Option(53, b"\x05"),)))
    bootp = data[:240] + b"\xff"
    with pytest.raises(UnreadableError, match="no-message-type"):
        read_samples(bootp)
    with pytest.raises(UnreadableError, match="too-short"):
        read_samples(b"0102", Form.MESSAGE)


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounded, and a folder is no file."""
    (tmp_path / "x").write_bytes(b"12345")

    assert b"12345" == read_file(tmp_path / "x")
    monkeypatch.setattr(samples, "MAX_INPUT_BYTES", 4)
    for path, word in ((tmp_path / "x", "MiB"), (tmp_path, "directory"), (tmp_path / "y", "No such file")):
        with pytest.raises(UnreadableError, match=word):
            read_file(path)
