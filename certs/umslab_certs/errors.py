# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a certificate, a key or a request: one exception with a fault that a caller can act on.

Provenance: simulated (the names of the faults are ours). Whatever bytes a peer or a person hands in, the parsers of
this package raise `CertificateError` and nothing else. No message ever holds key material.
"""

from __future__ import annotations

from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm

if TYPE_CHECKING:
    from collections.abc import Iterator


class Fault(StrEnum):
    """The machine-readable reason of a `CertificateError`."""

    UNREADABLE = "unreadable"
    """Not the format it should be, or a file that cannot be read."""
    TOO_LARGE = "too-large"
    EXISTS = "exists"
    """Something that must not be overwritten is already there."""
    INCOMPLETE = "incomplete"
    """The chain ends before a self-signed root, or a piece that is needed is not there."""
    MISMATCHED = "mismatched"
    """The private key belongs to none of the certificates."""
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    NOT_A_CA = "not-a-ca"
    """The certificate must not sign others, or not this deep."""
    WRONG_USAGE = "wrong-usage"
    """The certificate is meant for something else."""
    WEAK_KEY = "weak-key"
    """A key of a kind or size that is not accepted."""
    WEAK_SIGNATURE = "weak-signature"
    """Signed with a hash that is no longer trusted (MD5, SHA-1)."""
    BAD_SIGNATURE = "bad-signature"
    BAD_SUBJECT = "bad-subject"
    """The subject does not name one device."""
    BAD_NAME = "bad-name"
    """A text is neither a host name nor an IP address."""
    NAMES_DIFFER = "names-differ"
    """Two things that must carry the same names do not."""
    UNTRUSTED = "untrusted"
    """A sound chain, but not one that leads to a trusted root."""


class CertificateError(Exception):
    """A certificate, key or request is refused; `message` says why, `hint` (perhaps empty) what to do about it."""

    def __init__(self, fault: Fault, message: str, hint: str = "") -> None:
        super().__init__(f"{message}; {hint}" if hint else message)
        self.fault = fault
        self.message = message
        self.hint = hint


# Everything cryptography was seen to raise for foreign bytes (600,000 mutated certificates and requests). A Warning is
# among them because it becomes an exception under `python -W error`.
_FOREIGN = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    InternalError,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    Warning,
)


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn whatever cryptography raises for foreign bytes into `CertificateError` (UNREADABLE) about `what`.

    Not for private keys: the text of the original exception becomes part of the message.
    """
    try:
        yield
    except _FOREIGN as problem:
        raise CertificateError(Fault.UNREADABLE, f"{what} cannot be read: {str(problem)[:200]}") from None
