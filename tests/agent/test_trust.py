# SPDX-License-Identifier: Apache-2.0
"""Whom a new device trusts, and what it says when it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.certs.pki import DAY, NOW, SERVER, make
from umslab_agent.trust import Trust, TrustMode, judge
from umslab_certs.chain import fingerprint
from umslab_protocol.values.failure import Failure, Phase, Reason
from umslab_protocol.values.fingerprint import CommunicationToken, Fingerprint
from umslab_protocol.values.firmware import FirmwareVersion

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from cryptography.x509 import Certificate

ROOT = make("web root", ca=True)
MIDDLE = make("intermediate", ROOT, ca=True)
LEAF = make("ums", MIDDLE, purposes=[SERVER], names=["ums.lab"]).certificate
EST_CA = make("EST CA", ca=True).certificate
PROXY_ROOT = make("proxy root", ca=True)
PROXY_LEAF = make("ums", PROXY_ROOT, purposes=[SERVER], names=["ums.lab"]).certificate
BAG = [ROOT.certificate, MIDDLE.certificate, EST_CA]
TOKEN = fingerprint(ROOT.certificate).token
NEW, OLD = FirmwareVersion(12, 8, 4), FirmwareVersion(12, 2, 9)


def _judge(
    mode: TrustMode,
    *,
    presented: Certificate = LEAF,
    answered: Sequence[Certificate] = BAG,
    firmware: FirmwareVersion = NEW,
    now: datetime = NOW,
) -> Trust | Failure:
    return judge(presented, answered, mode, firmware=firmware, now=now)


def _reason(verdict: Trust | Failure) -> Reason | None:
    return verdict.reason if isinstance(verdict, Failure) else None


@pytest.mark.parametrize(
    "mode",
    [TrustMode(token=TOKEN), TrustMode(ca_hash=fingerprint(ROOT.certificate)), TrustMode(first_use=True)],
    ids=["token", "hash", "first-use"],
)
def test_pins_the_root_of_the_tls_chain(mode: TrustMode) -> None:
    """Every mode pins the root that signs the TLS chain; the EST CA is kept apart and never pinned (C30)."""
    verdict = _judge(mode)

    assert Trust(ROOT.certificate, (MIDDLE.certificate,), (EST_CA,)) == verdict


def test_a_wrong_token_is_a_pin_mismatch_with_both_tokens() -> None:
    """The message shows what was found and what was wanted, so that a person can compare."""
    verdict = _judge(TrustMode(token=CommunicationToken("0" * 16)))

    assert isinstance(verdict, Failure)
    assert (verdict.phase, verdict.reason, verdict.vendor_code) == (Phase.TRUST, Reason.PIN_MISMATCH, 37)
    assert str(TOKEN) in verdict.detail
    assert "0" * 16 in verdict.detail


def test_a_wrong_hash_is_a_pin_mismatch() -> None:
    """A whole fingerprint is compared whole."""
    assert _reason(_judge(TrustMode(ca_hash=Fingerprint("A" * 64)))) == Reason.PIN_MISMATCH


def test_token_and_hash_must_both_fit() -> None:
    """A right token does not excuse a wrong hash."""
    mode = TrustMode(token=TOKEN, ca_hash=Fingerprint("A" * 64))

    assert _reason(_judge(mode)) == Reason.PIN_MISMATCH


def test_nobody_vouching_is_refused() -> None:
    """Without token, hash, public root or first use nothing is pinned."""
    assert _reason(_judge(TrustMode())) == Reason.PIN_MISMATCH


@pytest.mark.parametrize("left_out", [ROOT.certificate, MIDDLE.certificate], ids=["root", "intermediate"])
def test_an_incomplete_chain_is_refused(left_out: Certificate) -> None:
    """C31: whatever the mode, a chain that does not reach its root is code 37."""
    answered = [certificate for certificate in BAG if certificate != left_out]

    verdict = _judge(TrustMode(first_use=True), answered=answered)

    assert isinstance(verdict, Failure)
    assert (verdict.reason, verdict.vendor_code) == (Reason.CHAIN_INCOMPLETE, 37)


def test_firmware_from_12_3_0_completes_a_public_chain() -> None:
    """C31: the built-in store supplies the missing public root, and vouches for it (C23)."""
    mode = TrustMode(public_roots=[ROOT.certificate])

    verdict = _judge(mode, answered=[MIDDLE.certificate, EST_CA])

    assert Trust(ROOT.certificate, (MIDDLE.certificate,), (EST_CA,)) == verdict


def test_older_firmware_does_not() -> None:
    """C31: before 12.3.0 the same answer is incomplete."""
    mode = TrustMode(public_roots=[ROOT.certificate])

    verdict = _judge(mode, answered=[MIDDLE.certificate, EST_CA], firmware=OLD)

    assert _reason(verdict) == Reason.CHAIN_INCOMPLETE


def test_a_proxy_that_terminates_tls_is_named() -> None:
    """T16: the real root is in the answer, but the handshake's certificate is from elsewhere."""
    verdict = _judge(TrustMode(token=TOKEN), presented=PROXY_LEAF)

    assert isinstance(verdict, Failure)
    assert (verdict.reason, verdict.vendor_code) == (Reason.INTERCEPTED, 37)
    assert "terminates TLS" in verdict.hint


def test_a_proxy_with_a_chain_of_its_own_fails_the_token() -> None:
    """A proxy that also rewrites cacerts presents another root: a pin mismatch."""
    verdict = _judge(TrustMode(token=TOKEN), presented=PROXY_LEAF, answered=[PROXY_ROOT.certificate, EST_CA])

    assert _reason(verdict) == Reason.PIN_MISMATCH


@pytest.mark.parametrize("now", [NOW + 400 * DAY, NOW - 30 * DAY], ids=["expired", "not yet valid"])
def test_dates_are_told_apart_from_distrust(now: datetime) -> None:
    """A clock that is wrong gets a hint about clocks (SE7)."""
    verdict = _judge(TrustMode(token=TOKEN), now=now)

    assert isinstance(verdict, Failure)
    assert verdict.reason == Reason.CERTIFICATE_TIME
    assert "clock" in verdict.hint


def test_the_est_ca_is_never_a_trust_anchor_for_servers() -> None:
    """C30: a server certificate below the EST CA is judged by that CA's own token, not by the web root's."""
    est = make("EST CA", ca=True)
    forged = make("ums", est, purposes=[SERVER], names=["ums.lab"]).certificate

    verdict = _judge(TrustMode(token=TOKEN), presented=forged, answered=[*BAG, est.certificate])

    assert _reason(verdict) == Reason.PIN_MISMATCH
