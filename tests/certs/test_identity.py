# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_certs.identity."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from umslab_certs.chain import to_pem
from umslab_certs.errors import Fault
from umslab_certs.identity import load_identity, load_identity_chain, save_identity
from umslab_certs.keys import KeyType, generate_key, key_to_pem

from .pki import make, refused

if TYPE_CHECKING:
    from pathlib import Path

ROOT = make("root", ca=True)
DEVICE = make("00E0C514325B", ROOT)
CHAIN = [DEVICE.certificate, ROOT.certificate]


def test_round_trip(tmp_path: Path) -> None:
    """Key and certificate come back, from a private file that the ssl module reads too."""
    file = tmp_path / "device.pem"

    save_identity(file, DEVICE.key, CHAIN)

    key, certificate = load_identity(file)
    assert key_to_pem(key) == key_to_pem(DEVICE.key)
    assert certificate == DEVICE.certificate
    assert load_identity_chain(file)[1] == CHAIN
    assert file.stat().st_mode & 0o777 == 0o600
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(file)


def test_wrong_pair_is_not_saved(tmp_path: Path) -> None:
    """A certificate that a server issued for another key does not replace a good identity."""
    file = tmp_path / "device.pem"
    save_identity(file, DEVICE.key, CHAIN)

    with refused(Fault.MISMATCHED):
        save_identity(file, generate_key(KeyType.P256), CHAIN)
    with refused(Fault.MISMATCHED):
        save_identity(file, DEVICE.key, [])

    assert load_identity(file)[1] == DEVICE.certificate


@pytest.mark.parametrize(
    ("content", "fault", "words"),
    [
        (key_to_pem(ROOT.key) + to_pem(CHAIN), Fault.MISMATCHED, "does not match the certificate"),
        (to_pem(CHAIN), Fault.UNREADABLE, "the private key in"),
        (key_to_pem(DEVICE.key), Fault.UNREADABLE, "holds no PEM certificate"),
        (b"", Fault.UNREADABLE, "the private key in"),
        (bytes(1024 * 1024 + 1), Fault.TOO_LARGE, "larger"),
    ],
)
def test_damaged_files(tmp_path: Path, content: bytes, fault: Fault, words: str) -> None:
    """Each kind of damage is told, with the path and without the key."""
    file = tmp_path / "device.pem"
    file.write_bytes(content)

    with refused(fault, str(file), words) as caught:
        load_identity(file)

    assert "PRIVATE KEY" not in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with refused(Fault.UNREADABLE, str(tmp_path / "device.pem")):
        load_identity(tmp_path / "device.pem")
