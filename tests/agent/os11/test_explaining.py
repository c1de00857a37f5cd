# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_agent.os11.explaining."""

from __future__ import annotations

import pytest

from umslab_agent.os11.explaining import explain_end, explain_error, explain_refused
from umslab_protocol.machines.carrier import Closed
from umslab_protocol.values.failure import Phase, Reason
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.os11 import ContactRefusal, Refused
from umslab_runtime.network import DialError, DialProblem
from umslab_runtime.tls import TLSError, TLSProblem

TARGET = HostPort("ums.lab", 30_001)


@pytest.mark.parametrize("phase", [Phase.REGISTER, Phase.CONTACT])
@pytest.mark.parametrize("refusal", ContactRefusal)
def test_every_refusal_is_explained(refusal: ContactRefusal, phase: Phase) -> None:
    """With the server's words, and no code of OS 12."""
    failure = explain_refused(phase, Refused(refusal=refusal, message="its words", retryAfter=7.0))

    assert (phase, 7.0, None) == (failure.phase, failure.retry_after, failure.vendor_code)
    assert "its words" in failure.detail


def test_unknown_is_told_apart_from_every_other_refusal() -> None:
    """L7."""
    reasons = [explain_refused(Phase.CONTACT, Refused(refusal=one, message="")).reason for one in ContactRefusal]

    assert 1 == reasons.count(Reason.UNKNOWN_DEVICE)


@pytest.mark.parametrize(
    ("error", "reason", "hint"),
    [
        (TLSError(TLSProblem.UNTRUSTED, "no"), Reason.PIN_MISMATCH, "never replaced"),
        (TLSError(TLSProblem.VERSION, "no"), Reason.TLS_REFUSED, "TLS 1.2 only"),
        (TLSError(TLSProblem.ALERT, "no", 70), Reason.TLS_REFUSED, "TLS 1.2 only"),
        (TLSError(TLSProblem.NOT_TLS, "no"), Reason.NOT_TLS, "another program"),
        (DialError(DialProblem.REFUSED, "no"), Reason.UNREACHABLE, "check host and port"),
        (DialError(DialProblem.NAME_UNKNOWN, "no"), Reason.NAME_UNKNOWN, "DNS"),
    ],
)
def test_errors_on_the_way(error: Exception, reason: Reason, hint: str) -> None:
    """Phase, reason and a hint that fits OS 11."""
    failure = explain_error(Phase.CONTACT, error, TARGET)

    assert (Phase.CONTACT, reason, None) == (failure.phase, failure.reason, failure.vendor_code)
    assert hint in failure.hint


def test_an_early_end() -> None:
    """It belongs to the step in which it came."""
    failure = explain_end(Phase.REGISTER, Closed(CloseCode.ABNORMAL, "gone", by_peer=True))

    assert (Phase.REGISTER, Reason.LOST) == (failure.phase, failure.reason)
