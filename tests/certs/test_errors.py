# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_certs.errors."""

from __future__ import annotations

import warnings

import pytest
from cryptography import x509

from umslab_certs.errors import CertificateError, Fault, reading

from .pki import refused


def fail(problem: Exception) -> None:
    """Raise, in a way that leaves what follows reachable for the type checker."""
    raise problem


def test_text_is_message_and_hint() -> None:
    """The text for people is the message, followed by the hint where there is one."""
    with_hint = CertificateError(Fault.EXPIRED, "it is over", "renew it")

    assert str(with_hint) == "it is over; renew it"
    assert (with_hint.fault, with_hint.message, with_hint.hint) == (Fault.EXPIRED, "it is over", "renew it")
    assert str(CertificateError(Fault.EXPIRED, "it is over")) == "it is over"


def test_reading_translates_foreign_exceptions() -> None:
    """What cryptography raises becomes UNREADABLE, without the original as a cause."""
    with refused(Fault.UNREADABLE, "the thing cannot be read: bad version") as caught, reading("the thing"):
        fail(x509.InvalidVersion("bad version", 7))

    assert caught.value.__cause__ is None


def test_reading_translates_warnings_made_errors() -> None:
    """Under `python -W error` a deprecation warning of cryptography is a refusal, not a crash."""
    with refused(Fault.UNREADABLE), reading("the thing"):
        warnings.warn("serial number is not positive", UserWarning, stacklevel=1)


def test_reading_lets_the_rest_pass() -> None:
    """Our own refusals keep their fault, and bugs stay visible."""
    with refused(Fault.WEAK_KEY), reading("the thing"):
        fail(CertificateError(Fault.WEAK_KEY, "too short"))
    with pytest.raises(AttributeError), reading("the thing"):
        fail(AttributeError("a bug"))
