# SPDX-License-Identifier: Apache-2.0
"""TLS contexts are shared where that is safe and nowhere else."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from tests.certs.pki import make
from tests.support.lab import EPOCH
from umslab_agent.contexts import MOST_CONTEXTS, TlsContexts
from umslab_certs.device_communication import make_self_signed
from umslab_certs.identity import save_identity
from umslab_certs.keys import KeyType

if TYPE_CHECKING:
    from pathlib import Path

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


def test_os_11_contexts_are_shared(tmp_path: Path) -> None:
    """One to register, one a pin, one a key type to answer with, however many devices; TLS 1.2 only."""
    contexts = TlsContexts(check_time=False)
    made = {}
    for name, kind in (("a", KeyType.P256), ("b", KeyType.P256), ("c", KeyType.P384)):
        certificate, key = make_self_signed(kind, now=EPOCH)
        save_identity(tmp_path / name, key, [certificate])
        made[name] = certificate
    answering = [contexts.answering(KeyType.P256, tmp_path / name) for name in ("a", "b")]

    assert contexts.registering() is contexts.registering()
    assert contexts.exact(made["a"]) is contexts.exact(made["a"])
    assert contexts.exact(made["a"]) is not contexts.exact(made["b"])
    assert answering[0] is answering[1]
    assert answering[0] is not contexts.answering(KeyType.P384, tmp_path / "c")
    for context in (contexts.registering(), contexts.exact(made["a"]), answering[0]):
        assert ssl.TLSVersion.TLSv1_2 == context.minimum_version == context.maximum_version
