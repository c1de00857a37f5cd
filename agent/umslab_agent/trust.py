# SPDX-License-Identifier: Apache-2.0
"""Whether to trust a server met for the first time (house.md section 8a; facts C20, C21, C30-C35, T16).

Input is the certificate that the TLS handshake presented, which nothing vouched for yet, and the certificates that
`cacerts` answered. The root that signs the *TLS* chain is found and compared with what the user knows of it. Only that
root is pinned; the EST client CA in the same answer is kept for the record and never trusted for servers (C30).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from umslab_certs.chain import build_path, fingerprint, subject_of
from umslab_certs.errors import CertificateError, Fault
from umslab_protocol.values.failure import Failure, Phase, Reason
from umslab_protocol.values.firmware import Behaviour, FirmwareVersion, behaves

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from cryptography.x509 import Certificate

    from umslab_certs.chain import TrustPath
    from umslab_protocol.values.fingerprint import CommunicationToken, Fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustMode:
    """How the user vouches for the root: by token (C21), by its whole hash (C35), or not at all on first use (C34)."""

    token: CommunicationToken | None = None
    ca_hash: Fingerprint | None = None
    first_use: bool = False
    public_roots: Sequence[Certificate] = field(default_factory=tuple)
    """The simulated firmware's built-in public CAs (C23, C31, C32); none unless the user gives a file."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What to pin."""

    root: Certificate
    intermediates: tuple[Certificate, ...]
    est_ca: tuple[Certificate, ...]


def judge(
    presented: Certificate,
    answered: Sequence[Certificate],
    mode: TrustMode,
    *,
    firmware: FirmwareVersion,
    now: datetime,
) -> Trust | Failure:
    """Find the root of the presented certificate and decide whether it is the right one."""
    bag = [*answered, *mode.public_roots] if behaves(firmware, Behaviour.COMPLETES_PUBLIC_CHAINS) else list(answered)
    try:
        path = build_path(presented, bag, now=now)
    except CertificateError as error:
        return _explain(error, presented, answered, mode)
    if refused := _check_root(path, mode):
        return refused
    server_side = {*path.chain}
    return Trust(path.root, path.intermediates, tuple(entry for entry in answered if entry not in server_side))


def _check_root(path: TrustPath, mode: TrustMode) -> Failure | None:
    root = fingerprint(path.root)
    if mode.ca_hash is not None and root != mode.ca_hash:
        return _mismatch("CA hash", str(mode.ca_hash), str(root))
    if mode.token is not None and root.token != mode.token:
        return _mismatch("communication token", str(mode.token), str(root.token))
    vouched = mode.ca_hash is not None or mode.token is not None or path.root in mode.public_roots
    if vouched or mode.first_use:
        return None
    return Failure(
        Phase.TRUST,
        Reason.PIN_MISMATCH,
        "nobody vouches for this server's root certificate",
        "give the communication token that the UMS shows (--token)",
    )


def _mismatch(what: str, wanted: str, found: str) -> Failure:
    return Failure(
        Phase.TRUST,
        Reason.PIN_MISMATCH,
        f"the server's root has the {what} {found}, not {wanted}",
        "a mistyped token, another UMS at this address, or somebody in between: compare with what the UMS shows",
    )


def _explain(
    error: CertificateError, presented: Certificate, answered: Sequence[Certificate], mode: TrustMode
) -> Failure:
    if error.fault in {Fault.EXPIRED, Fault.NOT_YET_VALID}:
        hint = "check the clock of this device (SE7), then the certificate of the UMS"
        return Failure(Phase.TRUST, Reason.CERTIFICATE_TIME, error.message, hint)
    if error.fault is Fault.BAD_SIGNATURE or _pinned_root_is_in(answered, mode):
        return Failure(
            Phase.TRUST,
            Reason.INTERCEPTED,
            f"the TLS certificate {subject_of(presented)} is not from the chain that the UMS itself announces",
            "something in between terminates TLS (T16), or the UMS lacks an intermediate certificate of its chain",
        )
    return Failure(
        Phase.TRUST,
        Reason.CHAIN_INCOMPLETE,
        f"the server's certificate chain is incomplete: {error.message}",
        "give the UMS the whole chain up to its root (C31); if it has it, something in between terminates TLS (T16)",
    )


def _pinned_root_is_in(answered: Sequence[Certificate], mode: TrustMode) -> bool:
    prints = [fingerprint(certificate) for certificate in answered]
    return any(found == mode.ca_hash or found.token == mode.token for found in prints)
