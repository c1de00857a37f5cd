# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_agent.os11.keeping."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.lab import EPOCH
from umslab_agent.errors import DeviceFolderError
from umslab_agent.folder import DeviceFolder
from umslab_agent.os11 import keeping
from umslab_certs.device_communication import make_self_signed
from umslab_certs.errors import CertificateError
from umslab_certs.keys import KeyType

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> DeviceFolder:
    """A new device's folder."""
    return DeviceFolder(tmp_path)


def test_the_pin_is_what_was_presented(folder: DeviceFolder) -> None:
    """Nothing before registration; then the whole certificate, readable by its owner only."""
    certificate, _ = make_self_signed(KeyType.P256, now=EPOCH)
    before = keeping.load_pin(folder)
    keeping.save_pin(folder, certificate.public_bytes(Encoding.DER))

    assert None is before
    assert certificate == keeping.load_pin(folder)
    assert 0o600 == folder.path.joinpath("server.crt").stat().st_mode & 0o777


@pytest.mark.parametrize("presented", [b"", b"no certificate"])
def test_what_is_no_certificate_is_not_kept(folder: DeviceFolder, presented: bytes) -> None:
    """The registration fails instead."""
    with pytest.raises(CertificateError):
        keeping.save_pin(folder, presented)

    assert not folder.path.joinpath("server.crt").exists()


def test_the_key_is_made_once(folder: DeviceFolder) -> None:
    """32 bytes (G8), the same ever after."""
    first = keeping.load_or_make_key(folder, lambda count: bytes(range(count)))
    second = keeping.load_or_make_key(folder, bytes)

    assert first == second
    assert bytes(range(32)) == folder.path.joinpath("tckey").read_bytes()


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_a_key_of_another_length(folder: DeviceFolder, content: bytes) -> None:
    """It is damage, and told without showing the key."""
    folder.path.joinpath("tckey").write_bytes(content)

    with pytest.raises(DeviceFolderError, match="tckey is damaged") as raised:
        keeping.load_or_make_key(folder, bytes)
    assert "xxx" not in str(raised.value)


@pytest.mark.parametrize("kind", [KeyType.P256, KeyType.P384])
def test_its_own_certificate(folder: DeviceFolder, kind: KeyType) -> None:
    """As the sample of G10 shows one: no extension, no common name, self-signed; made once."""
    first = keeping.load_or_make_certificate(folder, kind, EPOCH)
    second = keeping.load_or_make_certificate(folder, KeyType.P521, EPOCH)

    assert first == second
    assert kind is keeping.kind_of(first)
    assert ([], first.subject) == (list(first.extensions), first.issuer)


def test_forgetting_keeps_the_own_certificate(folder: DeviceFolder) -> None:
    """Pin and shared key are the server's and go; the device's certificate is nobody else's."""
    certificate = keeping.load_or_make_certificate(folder, KeyType.P256, EPOCH)
    keeping.save_pin(folder, certificate.public_bytes(Encoding.DER))
    keeping.load_or_make_key(folder, bytes)
    folder.forget()

    assert {"device.pem"} == {path.name for path in folder.path.iterdir()}
