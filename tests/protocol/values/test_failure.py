# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.values.failure."""

from __future__ import annotations

from itertools import product

import pytest

from umslab_protocol.values.failure import VENDOR_CODES, Confidence, Failure, Phase, Reason, code_table

D, I, O = Confidence.DOCUMENTED, Confidence.IMPLIED, Confidence.OURS  # noqa: E741 - the marks of the facts file

# What a person should see for each pair that a device reports; None: the vendor has no code for it.
EXPECTED: list[tuple[Phase, Reason, int | None, Confidence | None]] = [
    (Phase.START, Reason.BAD_ARGUMENTS, 32, D),
    (Phase.START, Reason.STATE_DAMAGED, 35, O),
    (Phase.START, Reason.NOT_SAVED, None, None),
    (Phase.RESOLVE, Reason.NAME_UNKNOWN, 37, I),
    (Phase.CACERTS, Reason.UNREACHABLE, 37, D),
    (Phase.CACERTS, Reason.TARGET_REFUSED, 37, D),
    (Phase.CACERTS, Reason.NOT_EST, 37, D),
    (Phase.CACERTS, Reason.BAD_ANSWER, 37, D),
    (Phase.TRUST, Reason.PIN_MISMATCH, 37, I),
    (Phase.TRUST, Reason.CERTIFICATE_TIME, 37, I),
    (Phase.TRUST, Reason.CHAIN_INCOMPLETE, 37, D),
    (Phase.TRUST, Reason.INTERCEPTED, 37, D),
    (Phase.KEY, Reason.NOT_SAVED, 35, I),
    (Phase.ENROL, Reason.KEY_REFUSED, 38, D),
    (Phase.ENROL, Reason.ENROL_REFUSED, 38, D),
    (Phase.ENROL, Reason.RATE_LIMITED, 38, D),
    (Phase.ENROL, Reason.BAD_ANSWER, 39, I),
    (Phase.ENROL, Reason.NAME_MISMATCH, 45, O),
    (Phase.STORE, Reason.NOT_SAVED, 41, D),
    (Phase.CONNECT, Reason.NAME_UNKNOWN, 44, I),
    (Phase.CONNECT, Reason.UNREACHABLE, 44, D),
    (Phase.CONNECT, Reason.TIMEOUT, 44, I),
    (Phase.CONNECT, Reason.NAME_MISMATCH, 45, D),
    (Phase.CONNECT, Reason.TLS_REFUSED, 45, D),
    (Phase.CONNECT, Reason.TLS_BROKEN, 45, I),
    (Phase.CONNECT, Reason.NOT_TLS, 45, I),
    (Phase.CONNECT, Reason.CERTIFICATE_TIME, 46, I),
    (Phase.CONNECT, Reason.UNTRUSTED_SERVER, 46, D),
    (Phase.CONNECT, Reason.UNKNOWN_DEVICE, None, None),
    (Phase.CONNECT, Reason.REFUSED, None, None),
    (Phase.CONNECT, Reason.BUSY, None, None),
    (Phase.SESSION, Reason.LOST, None, None),
    (Phase.SESSION, Reason.PROTOCOL, None, None),
    (Phase.SESSION, Reason.DEREGISTERED, None, None),
    (Phase.RENEW, Reason.BAD_ANSWER, None, None),
]


def test_the_vendors_codes() -> None:
    """30 and 32 to 47; 31 is not in the vendor's list (section 3.6)."""
    assert {30, *range(32, 48)} == set(VENDOR_CODES)


def test_the_table_uses_only_the_vendors_codes() -> None:
    """No code is invented."""
    assert {code for _, _, code, _ in code_table()} <= set(VENDOR_CODES)


def test_the_table_has_one_row_a_pair() -> None:
    """What the documentation prints is unambiguous."""
    pairs = [(phase, reason) for phase, reason, _, _ in code_table()]

    assert len(set(pairs)) == len(pairs)


@pytest.mark.parametrize(("phase", "reason", "code", "confidence"), EXPECTED)
def test_mapping(phase: Phase, reason: Reason, code: int | None, confidence: Confidence | None) -> None:
    """Every pair that a device reports has the code a person would look for, marked with how sure it is."""
    failure = Failure(phase, reason, "detail")

    assert (code, confidence) == (failure.vendor_code, failure.confidence)


def test_every_row_of_the_table_is_expected_above() -> None:
    """A new row needs a line in `EXPECTED`."""
    exact = {(phase, reason): (code, sure) for phase, reason, code, sure in EXPECTED}
    rows = {(phase, reason): (code, sure) for phase, reason, code, sure in code_table()}

    assert {key: value for key, value in rows.items() if key[1] is not None}.items() <= exact.items()
    assert {phase for phase, reason in rows if reason is None} <= {phase for phase, _ in exact}


def test_code_and_confidence_go_together() -> None:
    """For any pair at all: a known code with its confidence, or neither."""
    for phase, reason in product(Phase, Reason):
        failure = Failure(phase, reason, "")

        assert (failure.vendor_code in VENDOR_CODES) == (failure.confidence is not None)


def test_text_with_a_code() -> None:
    """What people read names the phase and the vendor's code."""
    assert "enrol: HTTP 401 (IGEL code 38)" == str(Failure(Phase.ENROL, Reason.KEY_REFUSED, "HTTP 401"))


def test_text_without_a_code() -> None:
    """Where the vendor has no code, none is shown."""
    assert "session: lost" == str(Failure(Phase.SESSION, Reason.LOST, "lost"))


def test_hint_and_retry_after_are_optional() -> None:
    """Most failures carry neither."""
    failure = Failure(Phase.SESSION, Reason.LOST, "lost")

    assert ("", None) == (failure.hint, failure.retry_after)
