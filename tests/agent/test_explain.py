# SPDX-License-Identifier: Apache-2.0
"""Every kind of error has a reason and, where a user can act, a hint."""

from __future__ import annotations

import pytest

from umslab_agent.explain import explain, explain_answer, explain_close, explain_damage, explain_session_refusal
from umslab_certs.errors import CertificateError, Fault
from umslab_protocol.errors import RemoteProtocolError
from umslab_protocol.machines.carrier import Closed
from umslab_protocol.values.failure import Contact, Phase, Reason
from umslab_protocol.wire.close_codes import REFUSAL_HEADER, CloseCode, Refusal
from umslab_runtime.http import Response, text_response
from umslab_runtime.network import DialError, DialProblem
from umslab_runtime.policy import TargetRefusedError
from umslab_runtime.tls import TLSBrokenError, TLSError, TLSProblem


@pytest.mark.parametrize("problem", list(DialProblem))
def test_dials(problem: DialProblem) -> None:
    """Each dial problem has a reason and a hint; names that do not resolve are the resolve phase before enrolment."""
    failure = explain(Phase.CACERTS, DialError(problem, "details"))

    naming = problem in {DialProblem.NAME_UNKNOWN, DialProblem.RESOLVER}
    assert (Phase.RESOLVE if naming else Phase.CACERTS) == failure.phase
    assert failure.hint
    assert failure.vendor_code == 37


@pytest.mark.parametrize("problem", list(TLSProblem))
def test_tls(problem: TLSProblem) -> None:
    """Each TLS problem has a reason, whether it comes from the handshake or later."""
    error = TLSError(problem, "details")

    assert explain(Phase.CONNECT, error) == explain(Phase.CONNECT, TLSBrokenError(error))


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (TLSProblem.NAME_MISMATCH, 45),
        (TLSProblem.UNTRUSTED, 46),
        (TLSProblem.EXPIRED, 46),
        (TLSProblem.ALERT, 45),
        (TLSProblem.NOT_TLS, 45),
    ],
)
def test_tls_codes_when_connecting(problem: TLSProblem, code: int) -> None:
    """The vendor's TLS codes (3.6)."""
    assert code == explain(Phase.CONNECT, TLSError(problem, "details")).vendor_code


def test_what_was_seen() -> None:
    """How far the step came, and who answered: from it a fleet's report tells whose failure it is."""
    answer = Response(503, [("Server", "umslab/1 " + "x" * 200), ("Umslab-Request", "02-1")], b"")
    errors = {
        DialError(DialProblem.REFUSED, ""): Contact.REFUSED,
        DialError(DialProblem.OWN_LIMIT, ""): Contact.OWN,
        DialError(DialProblem.TIMEOUT, ""): Contact.NONE,
        TLSError(TLSProblem.TRUNCATED, ""): Contact.ACCEPTED,
        TLSError(TLSProblem.SILENT, ""): Contact.SILENT,
        TLSBrokenError(TLSError(TLSProblem.ALERT, "")): Contact.SECURED,
        RemoteProtocolError(""): Contact.SECURED,
        OSError(28, ""): Contact.NONE,
    }

    assert list(errors.values()) == [explain(Phase.CONNECT, error).seen.contact for error in errors]
    for failure in (explain_answer(Phase.ENROL, answer), explain_session_refusal(answer)):
        assert (Contact.ANSWERED, 503, "02-1") == (failure.seen.contact, failure.seen.status, failure.seen.request)
        assert ("umslab/1 " + "x" * 200)[:100] == failure.seen.server
    for refusal in (Refusal.UNKNOWN_DEVICE, Refusal.REVOKED):
        refused = explain_session_refusal(Response(410, [(REFUSAL_HEADER, str(refusal))], b""))
        assert 410 == refused.seen.status


@pytest.mark.parametrize(("alert", "word"), [(45, "expired"), (48, "authority"), (43, "clients"), (70, "version")])
def test_alerts_have_hints_of_their_own(alert: int, word: str) -> None:
    """The number of an alert becomes a sentence."""
    assert word in explain(Phase.CONNECT, TLSError(TLSProblem.ALERT, "details", alert)).hint


def test_the_rest_of_the_errors() -> None:
    """Policy, protocol, certificates, the disk, and what nobody thought of."""
    assert explain(Phase.CACERTS, TargetRefusedError("no")).reason == Reason.TARGET_REFUSED
    assert explain(Phase.ENROL, RemoteProtocolError("x" * 5_000)).reason == Reason.BAD_ANSWER
    assert len(explain(Phase.ENROL, RemoteProtocolError("x" * 5_000)).detail) == 300
    assert explain(Phase.ENROL, CertificateError(Fault.UNREADABLE, "m")).reason == Reason.BAD_ANSWER
    assert explain(Phase.RENEW, CertificateError(Fault.EXPIRED, "m")).reason == Reason.CERTIFICATE_TIME
    assert explain(Phase.STORE, OSError(28, "No space left on device", "/state/x")).reason == Reason.NOT_SAVED
    assert "/state/x" in explain(Phase.STORE, OSError(28, "No space left on device", "/state/x")).detail
    assert explain(Phase.SESSION, RuntimeError()).reason == Reason.LOST


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, Reason.KEY_REFUSED),
        (403, Reason.ENROL_REFUSED),
        (404, Reason.NOT_EST),
        (429, Reason.RATE_LIMITED),
        (502, Reason.BUSY),
        (418, Reason.ENROL_REFUSED),
    ],
)
def test_statuses_of_an_enrolment(status: int, reason: Reason) -> None:
    """What the server said is in the detail, once and short."""
    failure = explain_answer(Phase.ENROL, text_response(status, "because\nof this"))

    assert (reason, f"HTTP {status}: because") == (failure.reason, failure.detail)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("0", 0.0), ("99999999", 86_400.0), ("999999999999", 60.0), ("soon", 60.0), ("-5", 60.0), ("٣", 60.0)],
)
def test_retry_after(value: str, seconds: float) -> None:
    """Seconds are honoured within a day; anything else counts as a minute."""
    answer = text_response(503, "busy", [("Retry-After", value)])

    assert seconds == explain_answer(Phase.ENROL, answer).retry_after


def test_an_answer_without_text_or_wait() -> None:
    """An empty body is no crash."""
    failure = explain_answer(Phase.CACERTS, Response(500))

    assert (failure.detail, failure.retry_after) == ("HTTP 500", None)


@pytest.mark.parametrize(
    ("status", "refusal", "reason"),
    [
        (410, Refusal.UNKNOWN_DEVICE, Reason.UNKNOWN_DEVICE),
        (403, Refusal.REVOKED, Reason.REFUSED),
        (403, Refusal.NO_CERTIFICATE, Reason.REFUSED),
        (403, None, Reason.REFUSED),
        (503, Refusal.BUSY, Reason.BUSY),
        (410, None, Reason.NOT_EST),
        (404, None, Reason.NOT_EST),
    ],
)
def test_unknown_device_is_told_apart(status: int, refusal: Refusal | None, reason: Reason) -> None:
    """L5, L7: only the explicit word makes a device unknown; a bare 410 of some proxy does not."""
    headers = [] if refusal is None else [(REFUSAL_HEADER, str(refusal))]

    assert reason == explain_session_refusal(text_response(status, "no", headers)).reason


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (CloseCode.GOING_AWAY, Reason.BUSY),
        (CloseCode.BUSY, Reason.BUSY),
        (CloseCode.REPLACED, Reason.REFUSED),
        (CloseCode.VERSION, Reason.PROTOCOL),
        (CloseCode.ABNORMAL, Reason.LOST),
        (CloseCode.SILENT, Reason.LOST),
        (3999, Reason.LOST),
    ],
)
def test_ends_of_sessions(code: int, reason: Reason) -> None:
    """The close code decides; the text of the peer is shown."""
    failure = explain_close(Closed(code, "so long", by_peer=True))

    assert reason == failure.reason
    assert "so long" in failure.detail


def test_a_folder_that_cannot_be_used() -> None:
    """Damaged, with the file that the system names, or with what to do."""
    by_system = explain_damage(Phase.START, OSError(13, "Permission denied", "boots.json"))
    by_us = explain_damage(Phase.CONNECT, ValueError("cut off"))

    assert (Phase.START, Reason.STATE_DAMAGED) == (by_system.phase, by_system.reason)
    assert "boots.json: Permission denied" in by_system.detail
    assert (Reason.STATE_DAMAGED, "cut off") == (by_us.reason, by_us.detail)
    assert "restore the folder" in by_us.hint
