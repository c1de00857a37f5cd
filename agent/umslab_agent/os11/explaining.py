# SPDX-License-Identifier: Apache-2.0
"""From what went wrong with an OS 11 server to phase, reason and hint; the vendor's codes are those of OS 12."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from umslab_agent.explain import explain, explain_close
from umslab_protocol.values.failure import Contact, Failure, Phase, Reason, Seen
from umslab_protocol.wire.os11 import ContactRefusal
from umslab_runtime.tls import TLSError, TLSProblem

if TYPE_CHECKING:
    from umslab_protocol.machines.carrier import Closed
    from umslab_protocol.values.host_port import HostPort
    from umslab_protocol.wire.os11 import Refused

_REFUSALS: dict[ContactRefusal, tuple[Reason, str]] = {
    ContactRefusal.UNKNOWN_DEVICE: (
        Reason.UNKNOWN_DEVICE,
        "the registry does not know this device: register it anew, after a reset (G9)",
    ),
    ContactRefusal.BAD_PROOF: (
        Reason.REFUSED,
        "the server has another key for this device (G8): register it anew, after a reset",
    ),
    ContactRefusal.CREDENTIALS: (Reason.KEY_REFUSED, "check user and password of the UMS (A9)"),
    ContactRefusal.REFUSED: (Reason.REFUSED, "the server knows why: see its events"),
    ContactRefusal.VERSION: (Reason.PROTOCOL, "the two sides have no version of the simulated protocol in common"),
    ContactRefusal.BUSY: (Reason.BUSY, ""),
}
_REGISTERING = {
    ContactRefusal.REFUSED: (
        Reason.ENROL_REFUSED,
        "register with a UMS user (--register-user), import the device first, or allow automatic registration (A1)",
    )
}


def explain_error(phase: Phase, error: Exception, target: HostPort) -> Failure:
    """Translate an error on the way to the server."""
    if isinstance(error, TLSError) and error.problem is TLSProblem.UNTRUSTED:
        return pin_mismatch(phase, target)
    failure = explain(phase, error)
    if isinstance(error, TLSError) and (error.problem is TLSProblem.VERSION or error.alert == 70):
        return replace(failure, hint="OS 11 speaks TLS 1.2 only (T1): is this the port for OS 11 devices, 30001?")
    return failure


def pin_mismatch(phase: Phase, target: HostPort) -> Failure:
    """Say that a server is not the one this device is registered at."""
    return Failure(
        phase,
        Reason.PIN_MISMATCH,
        f"{target} does not present the certificate that this device keeps as server.crt",
        "another UMS, somebody in between, or a UMS that lost its device-communication certificate (G6): give it back "
        "to the UMS, or reset the device and register it anew; the pin is never replaced (G9, G12)",
    )


def explain_refused(phase: Phase, refused: Refused) -> Failure:
    """Translate the server's no."""
    known = _REGISTERING if phase is Phase.REGISTER else {}
    reason, hint = known.get(refused.refusal) or _REFUSALS[refused.refusal]
    detail = f"the server refuses: {refused.message[:300]}"
    return Failure(phase, reason, detail, hint, refused.retryAfter, seen=Seen(Contact.SECURED))


def explain_end(phase: Phase, closed: Closed) -> Failure:
    """Translate the end of a session that came before all was said."""
    return replace(explain_close(closed), phase=phase, seen=Seen(Contact.SECURED))
