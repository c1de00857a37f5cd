# SPDX-License-Identifier: Apache-2.0
"""Certificate fingerprints in four parts and the communication token (facts C20, C21).

Provenance: documented (four parts, third part is the token); upper case without colons is our choice (C27 is unknown),
any case and separators are accepted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from umslab_protocol.errors import InvalidValueError

_PART_DIGITS = 16
_UPPER = str.maketrans("abcdef", "ABCDEF")  # str.upper() would make FF of the ligature U+FB00


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A SHA-256 over a DER certificate, as 64 upper-case hexadecimal digits."""

    digits: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9A-F]{64}", self.digits, re.ASCII):
            raise InvalidValueError("a SHA-256 fingerprint has 64 hexadecimal digits")

    @classmethod
    def of_digest(cls, digest: bytes) -> Fingerprint:
        """Make a fingerprint of the 32 bytes of a SHA-256 digest."""
        return cls(digest.hex().upper())

    @classmethod
    def parse(cls, text: str) -> Fingerprint:
        """Read a fingerprint in any case, with or without colons, dashes and spaces."""
        return cls(_bare(text))

    @property
    def parts(self) -> tuple[str, str, str, str]:
        """The four parts of 16 digits in which UMS shows a fingerprint (C20)."""
        n = _PART_DIGITS
        return (self.digits[:n], self.digits[n : 2 * n], self.digits[2 * n : 3 * n], self.digits[3 * n :])

    @property
    def token(self) -> CommunicationToken:
        """The communication token: the third part (C21)."""
        return CommunicationToken(self.parts[2])

    def __str__(self) -> str:
        return " ".join(self.parts)


@dataclass(frozen=True, slots=True)
class CommunicationToken:
    """What a person types to vouch for a UMS root certificate: 16 hexadecimal digits, 64 bits of its SHA-256 (C21)."""

    digits: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9A-F]{16}", self.digits, re.ASCII):
            raise InvalidValueError(
                f"a communication token has 16 hexadecimal digits (the third part of the root certificate's "
                f"SHA-256 fingerprint), not {self.digits[:40]!r}"
            )

    @classmethod
    def parse(cls, text: str) -> CommunicationToken:
        """Read a token in any case, with or without separators."""
        return cls(_bare(text))

    def __str__(self) -> str:
        return self.digits


def _bare(text: str) -> str:
    return re.sub(r"[:\-\s]", "", text).translate(_UPPER)
