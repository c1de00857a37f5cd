# SPDX-License-Identifier: Apache-2.0
"""A proof is good for one nonce, one certificate and the key of that certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from umslab_certs.errors import CertificateError, Fault
from umslab_certs.identity import load_identity
from umslab_certs.keys import KeyType
from umslab_certs.load_proof import check_load_proof, sign_load_proof
from umslab_certs.store import WebCertificates

from .pki import NOW, make

if TYPE_CHECKING:
    from pathlib import Path

NONCE, OTHER = bytes(32), b"n" * 32


def _web(folder: Path, kind: KeyType) -> WebCertificates:
    return WebCertificates.create(folder, ["ums.lab"], root_key_type=KeyType.P256, web_key_type=kind, now=NOW)


@pytest.mark.parametrize("kind", [KeyType.P256, KeyType.P384, KeyType.RSA2048])
def test_it_is_good(tmp_path: Path, kind: KeyType) -> None:
    """Of every kind of key that a web certificate may have; for another nonce it is not."""
    web = _web(tmp_path, kind)
    signature = sign_load_proof(web.identity_file, NONCE)

    check_load_proof(web.leaf, NONCE, signature)
    with pytest.raises(CertificateError, match="not signed by the key"):
        check_load_proof(web.leaf, OTHER, signature)


def test_another_server_or_certificate(tmp_path: Path) -> None:
    """Neither another key nor, with the same key, another certificate: what was not presented proves nothing."""
    web, other = _web(tmp_path / "a", KeyType.P256), _web(tmp_path / "b", KeyType.P256)
    signature = sign_load_proof(web.identity_file, NONCE)
    key, _ = load_identity(web.identity_file)
    twin = make("twin", key=key).certificate

    for certificate in (other.leaf, web.root, twin):
        with pytest.raises(CertificateError) as caught:
            check_load_proof(certificate, NONCE, signature)
        assert Fault.BAD_SIGNATURE is caught.value.fault


@pytest.mark.parametrize("signature", [b"", b"x", b"\x30\x06\x02\x01\x01\x02\x01\x01", bytes(512)])
def test_what_is_no_signature(tmp_path: Path, signature: bytes) -> None:
    """The one declared error."""
    for kind in (KeyType.P256, KeyType.RSA2048):
        with pytest.raises(CertificateError):
            check_load_proof(_web(tmp_path / kind, kind).leaf, NONCE, signature)
