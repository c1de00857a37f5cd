# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.values.fingerprint."""

from __future__ import annotations

import hashlib

import pytest

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.fingerprint import CommunicationToken, Fingerprint

# SHA-256 of "abc" (FIPS 180-2, appendix B.1), in the four parts in which UMS would show it (C20).
ABC = ("BA7816BF8F01CFEA", "414140DE5DAE2223", "B00361A396177A9C", "B410FF61F20015AD")
DIGITS = "".join(ABC)


def test_of_digest() -> None:
    """A digest becomes 64 upper-case digits."""
    assert DIGITS == Fingerprint.of_digest(hashlib.sha256(b"abc").digest()).digits


def test_four_parts() -> None:
    """The parts are the digits in four rows of 16 (C20), which is also how it prints."""
    fingerprint = Fingerprint(DIGITS)

    assert ABC == fingerprint.parts
    assert " ".join(ABC) == str(fingerprint)


def test_the_token_is_the_third_part() -> None:
    """Digits 33 to 48, counted from 1 (C21)."""
    assert DIGITS[32:48] == ABC[2] == str(Fingerprint(DIGITS).token)


@pytest.mark.parametrize(
    "text",
    [
        DIGITS,
        DIGITS.lower(),
        " ".join(ABC),
        ":".join(DIGITS[at : at + 2] for at in range(0, 64, 2)),
        "-".join(ABC),
        f"\t{DIGITS}\n",
        "\u00a0".join(ABC),
    ],
)
def test_parse_forgives_case_and_separators(text: str) -> None:
    """However a fingerprint was copied, it is the same one."""
    assert Fingerprint(DIGITS) == Fingerprint.parse(text)


@pytest.mark.parametrize("text", ["", DIGITS[:-1], DIGITS + "0", DIGITS[:-1] + "G", DIGITS[:-2] + "\ufb00"])
def test_parse_refuses(text: str) -> None:
    """Anything but 64 hexadecimal digits is refused; a ligature that looks like FF is no digit."""
    with pytest.raises(InvalidValueError, match="64 hexadecimal digits"):
        Fingerprint.parse(text)


@pytest.mark.parametrize("digest", [b"", bytes(31), bytes(33)])
def test_a_digest_has_32_bytes(digest: bytes) -> None:
    """Another hash is not taken for SHA-256."""
    with pytest.raises(InvalidValueError):
        Fingerprint.of_digest(digest)


def test_lower_case_is_not_a_fingerprint_yet() -> None:
    """The constructor takes the one normal form, so that equal fingerprints are equal values."""
    with pytest.raises(InvalidValueError):
        Fingerprint(DIGITS.lower())


@pytest.mark.parametrize("text", [ABC[2], ABC[2].lower(), "b003 61a3 9617 7a9c", "B0:03:61:A3:96:17:7A:9C"])
def test_token_parse(text: str) -> None:
    """A token is forgiven its case and separators too."""
    assert CommunicationToken(ABC[2]) == CommunicationToken.parse(text)


@pytest.mark.parametrize("text", ["", ABC[2][:-1], ABC[2] + "0", "Z" + ABC[2][1:], "\ufb00" * 8])
def test_token_parse_refuses(text: str) -> None:
    """The message tells what a token is and where it is found."""
    with pytest.raises(InvalidValueError, match=r"16 hexadecimal digits \(the third part of the root certificate"):
        CommunicationToken.parse(text)


def test_a_long_text_is_not_repeated() -> None:
    """A whole file pasted by mistake does not fill the terminal."""
    with pytest.raises(InvalidValueError) as caught:
        CommunicationToken.parse("x" * 100_000)

    assert len(str(caught.value)) < 250
