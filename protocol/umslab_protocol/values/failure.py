# SPDX-License-Identifier: Apache-2.0
"""Why a device is not on board: phase, reason, hint and, where one fits, the vendor's error code (section 3.6).

Provenance: the codes 30 and 32-47 and their meanings are documented; which phase a code belongs to is implied by the
order of the vendor's table; attaching a code to one of *our* reasons is our judgement and carries its own confidence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Phase(StrEnum):
    """Where on the way on board something failed, in order of the way."""

    START = "start"
    RESOLVE = "resolve"
    CACERTS = "cacerts"
    TRUST = "trust"
    KEY = "key"
    ENROL = "enrol"
    STORE = "store"
    CONNECT = "connect"
    SESSION = "session"
    RENEW = "renew"
    REGISTER = "register"
    """OS 11, as the one that follows; the vendor's codes are those of OS 12 onboarding and fit neither."""
    CONTACT = "contact"


class Confidence(StrEnum):
    """How sure we are that the vendor's device would show this code for this reason."""

    DOCUMENTED = "documented"
    IMPLIED = "implied"
    OURS = "ours"


VENDOR_CODES: dict[int, str] = {
    30: "the onboarding service can no longer be reached",
    32: "the arguments are wrong",
    33: "the EST layer could not be initialised",
    34: "the trust chain could not be loaded",
    35: "the key pair could not be loaded",
    36: "the private key could not be loaded",
    37: "the CA certificates could not be fetched",
    38: "the enrolment failed",
    39: "the enrolled certificate could not be retrieved",
    40: "the certificate could not be converted to PEM",
    41: "the certificate could not be saved",
    42: "no TLS context could be made",
    43: "no TLS handle could be made",
    44: "the TCP connection failed",
    45: "the TLS connection failed",
    46: "the TLS certificate chain was not verified",
    47: "the system trust store was not loaded",
}


class Reason(StrEnum):
    """Our own machine-readable reasons."""

    BAD_ARGUMENTS = "bad-arguments"
    TARGET_REFUSED = "target-refused"
    NAME_UNKNOWN = "name-unknown"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    NOT_TLS = "not-tls"
    TLS_REFUSED = "tls-refused"
    TLS_BROKEN = "tls-broken"
    NAME_MISMATCH = "name-mismatch"
    CERTIFICATE_TIME = "certificate-time"
    NOT_EST = "not-est"
    CHAIN_INCOMPLETE = "chain-incomplete"
    INTERCEPTED = "intercepted"
    PIN_MISMATCH = "pin-mismatch"
    KEY_REFUSED = "key-refused"
    RATE_LIMITED = "rate-limited"
    AWAITING_APPROVAL = "awaiting-approval"
    """The server answered 202: it takes its time, and wants to be asked again (RFC 7030 section 4.2.3)."""
    ENROL_REFUSED = "enrol-refused"
    BAD_ANSWER = "bad-answer"
    NOT_SAVED = "not-saved"
    STATE_DAMAGED = "state-damaged"
    UNTRUSTED_SERVER = "untrusted-server"
    UNKNOWN_DEVICE = "unknown-device"
    REFUSED = "refused"
    BUSY = "busy"
    PROTOCOL = "protocol"
    DEREGISTERED = "deregistered"
    LOST = "connection-lost"
    DEFECT = "defect"
    """An error of ours, not of any peer."""


class Contact(StrEnum):
    """How far a failed step came towards the other side."""

    OWN = "own"
    """Not even out of this machine: a limit of its own."""
    NONE = "none"
    """Nobody took the connection, or it is not known."""
    REFUSED = "refused"
    """The address said that nobody listens there."""
    ACCEPTED = "accepted"
    """The TCP connection was taken, and dropped or answered with something else than TLS."""
    SILENT = "silent"
    """The TCP connection was taken, and nothing came in time."""
    SECURED = "secured"
    """TLS was established."""
    ANSWERED = "answered"
    """There was an HTTP answer."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a failed step saw of the other side: from it can be told which side failed."""

    contact: Contact = Contact.NONE
    status: int | None = None
    """Of the HTTP answer."""
    server: str = ""
    """The answer's `Server` header."""
    request: str = ""
    """The id of our request, when the answer repeated it: only the server itself does."""


NOTHING_SEEN = Seen()


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed step: what a person or a report needs to know."""

    phase: Phase
    reason: Reason
    detail: str
    hint: str = ""
    retry_after: float | None = None
    """Seconds the server asked to wait, when it did."""
    seen: Seen = field(default=NOTHING_SEEN, compare=False)

    @property
    def vendor_code(self) -> int | None:
        """The vendor's onboarding error code, where one fits."""
        found = _CODES.get((self.phase, self.reason)) or _CODES.get((self.phase, None))
        return found[0] if found else None

    @property
    def confidence(self) -> Confidence | None:
        """How sure the vendor code is."""
        found = _CODES.get((self.phase, self.reason)) or _CODES.get((self.phase, None))
        return found[1] if found else None

    def __str__(self) -> str:
        code = "" if self.vendor_code is None else f" (IGEL code {self.vendor_code})"
        return f"{self.phase}: {self.detail}{code}"


_D, _I, _O = Confidence.DOCUMENTED, Confidence.IMPLIED, Confidence.OURS

# (phase, reason) -> (code, confidence); a None reason is the phase's default. Before enrolment all that keeps the
# CA certificates away is 37: unreachable, intercepted, incomplete (X2, T16, C31).
_CODES: dict[tuple[Phase, Reason | None], tuple[int, Confidence]] = {
    (Phase.START, Reason.BAD_ARGUMENTS): (32, _D),
    (Phase.START, Reason.STATE_DAMAGED): (35, _O),
    (Phase.RESOLVE, None): (37, _I),
    (Phase.CACERTS, None): (37, _D),
    (Phase.TRUST, None): (37, _I),
    (Phase.TRUST, Reason.CHAIN_INCOMPLETE): (37, _D),
    (Phase.TRUST, Reason.INTERCEPTED): (37, _D),
    (Phase.KEY, None): (35, _I),
    (Phase.ENROL, None): (38, _D),
    (Phase.ENROL, Reason.BAD_ANSWER): (39, _I),
    (Phase.ENROL, Reason.NAME_MISMATCH): (45, _O),
    (Phase.STORE, None): (41, _D),
    (Phase.CONNECT, Reason.NAME_UNKNOWN): (44, _I),
    (Phase.CONNECT, Reason.UNREACHABLE): (44, _D),
    (Phase.CONNECT, Reason.TIMEOUT): (44, _I),
    (Phase.CONNECT, Reason.NAME_MISMATCH): (45, _D),
    (Phase.CONNECT, Reason.TLS_REFUSED): (45, _D),
    (Phase.CONNECT, Reason.TLS_BROKEN): (45, _I),
    (Phase.CONNECT, Reason.NOT_TLS): (45, _I),
    (Phase.CONNECT, Reason.CERTIFICATE_TIME): (46, _I),
    (Phase.CONNECT, Reason.UNTRUSTED_SERVER): (46, _D),
}


def code_table() -> list[tuple[Phase, Reason | None, int, Confidence]]:
    """List every (phase, reason, vendor code, confidence): the table the documentation prints."""
    return [(phase, reason, code, confidence) for (phase, reason), (code, confidence) in _CODES.items()]
