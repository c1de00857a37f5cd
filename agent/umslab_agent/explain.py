# SPDX-License-Identifier: Apache-2.0
"""From what went wrong to phase, reason and hint: one table for every kind of error a step can end in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from umslab_certs.errors import CertificateError, Fault
from umslab_protocol.errors import RemoteProtocolError
from umslab_protocol.values.failure import Contact, Failure, Phase, Reason, Seen
from umslab_protocol.wire.close_codes import REFUSAL_HEADER, CloseCode, Refusal
from umslab_protocol.wire.request_id import REQUEST_HEADER
from umslab_runtime.network import DialError, DialProblem
from umslab_runtime.policy import TargetRefusedError
from umslab_runtime.tls import TLSBrokenError, TLSError, TLSProblem

if TYPE_CHECKING:
    from umslab_protocol.machines.carrier import Closed
    from umslab_runtime.http import Response

MAX_DETAIL = 300
MAX_SEEN = 100
"""Characters of a header that is kept with a failure."""

_DIAL: dict[DialProblem, tuple[Reason, str]] = {
    DialProblem.NAME_UNKNOWN: (Reason.NAME_UNKNOWN, "check the name and the DNS servers of this device"),
    DialProblem.RESOLVER: (Reason.NAME_UNKNOWN, "no DNS server answered: check the network of this device"),
    DialProblem.REFUSED: (Reason.UNREACHABLE, "check host and port, and that the UMS is running"),
    DialProblem.UNREACHABLE: (Reason.UNREACHABLE, "check routes and firewalls on the way"),
    DialProblem.TIMEOUT: (Reason.TIMEOUT, "a firewall on the way drops the packets, or the UMS is down"),
    DialProblem.OWN_LIMIT: (Reason.UNREACHABLE, "this machine is out of resources, not the server"),
}

_TLS: dict[TLSProblem, tuple[Reason, str]] = {
    TLSProblem.ALERT: (Reason.TLS_REFUSED, "the server's log tells why it refused"),
    TLSProblem.UNTRUSTED: (
        Reason.UNTRUSTED_SERVER,
        "the server's certificate is not below the pinned root: another server, or somebody in between",
    ),
    TLSProblem.NAME_MISMATCH: (
        Reason.NAME_MISMATCH,
        "use a name or address that the web certificate carries, or give the UMS a certificate that has this one",
    ),
    TLSProblem.EXPIRED: (Reason.CERTIFICATE_TIME, "renew the web certificate, or set this device's clock"),
    TLSProblem.NOT_YET_VALID: (Reason.CERTIFICATE_TIME, "set this device's clock (SE7)"),
    TLSProblem.WRONG_USAGE: (Reason.UNTRUSTED_SERVER, "the server's certificate is not meant for TLS servers"),
    TLSProblem.VERSION: (Reason.TLS_REFUSED, "OS 12 speaks TLS 1.3 only (T1): something on the way does not"),
    TLSProblem.NOT_TLS: (Reason.NOT_TLS, "another program listens on this port, or a proxy answers for it"),
    TLSProblem.TRUNCATED: (Reason.TLS_BROKEN, "the connection ended in the middle: a proxy, or a server that stopped"),
    TLSProblem.SILENT: (Reason.TLS_BROKEN, "the server is there, but hangs or is overloaded; or a proxy waits for it"),
    TLSProblem.OTHER: (Reason.TLS_BROKEN, ""),
}

_CONTACT = {DialProblem.REFUSED: Contact.REFUSED, DialProblem.OWN_LIMIT: Contact.OWN}

_ALERT_HINTS = {
    42: "the server found something wrong with this device's certificate",
    43: "this device's certificate is not one for clients",
    44: "this device's certificate was revoked",
    45: "this device's certificate has expired (X8, X9)",
    48: "the server does not know the authority that issued this device's certificate",
    70: "the two sides have no TLS version in common (T1)",
}

ERRORS = (DialError, TLSError, TLSBrokenError, TargetRefusedError, RemoteProtocolError, CertificateError, OSError)
"""What a step may end in; anything else is a defect of ours."""


def explain(phase: Phase, error: Exception) -> Failure:
    """Translate an error of a step."""
    match error:
        case DialError():
            resolving = error.problem in {DialProblem.NAME_UNKNOWN, DialProblem.RESOLVER} and phase is Phase.CACERTS
            reason, hint = _DIAL[error.problem]
            seen = Seen(_CONTACT.get(error.problem, Contact.NONE))
            return Failure(Phase.RESOLVE if resolving else phase, reason, error.detail, hint, seen=seen)
        case TLSBrokenError():
            return _explain_tls(phase, error.tls, Contact.SECURED)
        case TLSError(problem=TLSProblem.SILENT):
            return _explain_tls(phase, error, Contact.SILENT)
        case TLSError():
            return _explain_tls(phase, error, Contact.ACCEPTED)
        case TargetRefusedError():
            return Failure(phase, Reason.TARGET_REFUSED, str(error))
        case RemoteProtocolError():
            seen = Seen(Contact.SECURED)
            return Failure(phase, Reason.BAD_ANSWER, error.reason[:MAX_DETAIL], "is this a UMS?", seen=seen)
        case CertificateError() if error.fault in {Fault.EXPIRED, Fault.NOT_YET_VALID}:
            return Failure(phase, Reason.CERTIFICATE_TIME, error.message, "set this device's clock (SE7)")
        case CertificateError():
            return Failure(phase, Reason.BAD_ANSWER, error.message, error.hint)
        case OSError():
            return Failure(
                phase, Reason.NOT_SAVED, f"{error.filename or 'the state folder'}: {error.strerror or error}"
            )
        case _:
            return Failure(phase, Reason.LOST, str(error) or type(error).__name__)


def _explain_tls(phase: Phase, error: TLSError, contact: Contact) -> Failure:
    reason, hint = _TLS[error.problem]
    if error.alert is not None:
        hint = _ALERT_HINTS.get(error.alert, hint)
    return Failure(phase, reason, error.detail, hint, seen=Seen(contact))


def explain_answer(phase: Phase, answer: Response) -> Failure:
    """Translate an HTTP status that is not what the step wanted."""
    server, request = answer.header("server") or "", answer.header(REQUEST_HEADER) or ""
    seen = Seen(Contact.ANSWERED, answer.status, server[:MAX_SEEN], request[:MAX_SEEN])
    return replace(_explain_status(phase, answer), seen=seen)


def _explain_status(phase: Phase, answer: Response) -> Failure:
    said = answer.body[:MAX_DETAIL].decode("utf-8", "replace").strip().splitlines()
    text = f"HTTP {answer.status}" + (f": {said[0]}" if said else "")
    wait = _retry_after(answer)
    match answer.status:
        case 401:
            return Failure(
                phase, Reason.KEY_REFUSED, text, "check the first-authentication key; one-time keys work once"
            )
        case 403 if phase is Phase.ENROL:
            return Failure(
                phase, Reason.ENROL_REFUSED, text, "look the device up in the UMS: recycle bin, known already?"
            )
        case 404:
            return Failure(phase, Reason.NOT_EST, text, "is this a UMS, and does a proxy pass /device-connector on?")
        case 429:
            return Failure(phase, Reason.RATE_LIMITED, text, "wait, then use the right key", wait)
        case 500 | 502 | 503 | 504:
            return Failure(
                phase,
                Reason.BUSY,
                text,
                "the server is overloaded or down, or a proxy in front cannot reach it over TLS 1.3",
                wait,
            )
        case _:
            reason = Reason.ENROL_REFUSED if phase is Phase.ENROL else Reason.NOT_EST
            return Failure(phase, reason, text, retry_after=wait)


def explain_session_refusal(answer: Response) -> Failure:
    """Translate a refusal of ws-connect: "unknown device" is told apart from every other one (L5, L7)."""
    failure = explain_answer(Phase.CONNECT, answer)
    refusal = answer.header(REFUSAL_HEADER)
    if refusal == Refusal.UNKNOWN_DEVICE:
        hint = "the registry does not know this device"
        return Failure(Phase.CONNECT, Reason.UNKNOWN_DEVICE, failure.detail, hint, seen=failure.seen)
    if answer.status == 403 or refusal in {Refusal.REVOKED, Refusal.EXPIRED, Refusal.REFUSED, Refusal.NO_CERTIFICATE}:
        hint = "the server knows why: see its events"
        return Failure(Phase.CONNECT, Reason.REFUSED, failure.detail, hint, seen=failure.seen)
    return failure


def explain_damage(phase: Phase, error: Exception) -> Failure:
    """Translate what is wrong with a device's folder."""
    if isinstance(error, OSError):
        return replace(explain(phase, error), reason=Reason.STATE_DAMAGED)
    return Failure(phase, Reason.STATE_DAMAGED, str(error), "restore the folder, or start a new one")


def explain_close(closed: Closed) -> Failure:
    """Translate the end of a session."""
    detail = f"the session ended: {closed.reason or 'no reason given'} ({closed.code})"
    match closed.code:
        case CloseCode.BUSY | CloseCode.GOING_AWAY:
            return Failure(Phase.SESSION, Reason.BUSY, detail)
        case CloseCode.REPLACED | CloseCode.REFUSED | CloseCode.POLICY:
            return Failure(Phase.SESSION, Reason.REFUSED, detail)
        case CloseCode.PROTOCOL_ERROR | CloseCode.VERSION | CloseCode.INVALID_DATA | CloseCode.TOO_BIG:
            return Failure(Phase.SESSION, Reason.PROTOCOL, detail)
        case _:
            return Failure(Phase.SESSION, Reason.LOST, detail)


def _retry_after(answer: Response) -> float | None:
    """Seconds of a Retry-After header; dates are taken as "a while" (RFC 9110 section 10.2.3 allows both)."""
    value = answer.header("retry-after")
    if value is None:
        return None
    return min(float(value), 86_400.0) if value.isascii() and value.isdecimal() and len(value) < 9 else 60.0
