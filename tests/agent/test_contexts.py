# SPDX-License-Identifier: Apache-2.0
"""TLS contexts are shared where that is safe and nowhere else."""

from __future__ import annotations

import ssl

from tests.certs.pki import make
from umslab_agent.contexts import MOST_CONTEXTS, TlsContexts
from umslab_certs.keys import KeyType

ROOT = make("root", ca=True).certificate
OTHER = make("other", ca=True).certificate


def test_equal_pins_and_key_type_share() -> None:
    """The memory of a context is paid once for a fleet."""
    contexts = TlsContexts()

    assert contexts.pinned([ROOT], [], KeyType.P256) is contexts.pinned([ROOT], (), KeyType.P256)
    assert contexts.blind() is contexts.blind()


def test_key_types_never_share() -> None:
    """OpenSSL keeps one certificate a key type in a context and would present the wrong device's."""
    contexts = TlsContexts()
    made = {id(contexts.pinned([ROOT], [], kind)) for kind in (None, *KeyType)}

    assert 1 + len(KeyType) == len(made)


def test_other_pins_get_another_context() -> None:
    """What one device trusts another need not."""
    contexts = TlsContexts()

    assert contexts.pinned([ROOT], [], None) is not contexts.pinned([OTHER], [], None)
    assert contexts.pinned([ROOT], [], None) is not contexts.pinned([ROOT], [OTHER], None)


def test_only_the_blind_context_verifies_nothing() -> None:
    """Verification is never off but for the first fetch."""
    contexts = TlsContexts()

    assert contexts.blind().verify_mode == ssl.CERT_NONE
    assert contexts.pinned([ROOT], [], None).verify_mode == ssl.CERT_REQUIRED
    assert contexts.pinned([ROOT], [], None).check_hostname


def test_only_the_contexts_used_last_are_kept() -> None:
    """A fleet whose roots change again and again does not keep a context for each set it ever had."""
    contexts = TlsContexts()
    used = contexts.pinned([ROOT], [], None)
    kinds = (None, *KeyType)
    others = [make(f"other {number}", ca=True).certificate for number in range(MOST_CONTEXTS // len(kinds) + 1)]
    first = contexts.pinned([others[0]], [], None)
    for certificate in others:
        for kind in kinds:
            contexts.pinned([certificate], [], kind)
        assert used is contexts.pinned([ROOT], [], None)

    assert 64 == MOST_CONTEXTS == len(contexts._made)
    assert first is not contexts.pinned([others[0]], [], None)
