# SPDX-License-Identifier: Apache-2.0
"""The PKI that all contenders of a benchmark use: P-256 everywhere, one certificate for each device."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from umslab_certs.authority import DEVICE_LIFETIME, ROOT_LIFETIME, create_root
from umslab_certs.chain import to_pem
from umslab_certs.csr import build_request, read_request
from umslab_certs.keys import KeyType, generate_key, key_to_pem
from umslab_certs.names import subject_names
from umslab_protocol.values.unit_id import UnitId

if TYPE_CHECKING:
    from pathlib import Path


def unit_id(index: int) -> UnitId:
    """The unit ID of the device with this index: locally administered."""
    return UnitId(f"02{index:010X}")


def make_identities(folder: Path, devices: int) -> None:
    """Write server.pem, root.pem, client-ca.pem with its key, and device-0.pem ... into an empty private folder."""
    now = datetime.now(UTC)
    root = create_root("bench root", KeyType.P256, now=now, lifetime=ROOT_LIFETIME)
    clients = create_root("bench clients", KeyType.P256, now=now, lifetime=ROOT_LIFETIME)
    certificate, key = root.issue_server(subject_names(["127.0.0.1"]), KeyType.P256, now=now)
    (folder / "server.pem").write_bytes(key_to_pem(key) + to_pem([certificate]))
    (folder / "root.pem").write_bytes(to_pem([root.certificate]))
    (folder / "client-ca.pem").write_bytes(to_pem([clients.certificate]))
    (folder / "client-ca-key.pem").write_bytes(key_to_pem(clients.key))
    for index in range(devices):
        key = generate_key(KeyType.P256)
        request = read_request(build_request(unit_id(index), key))
        issued = clients.issue_device(request, now=now, lifetime=DEVICE_LIFETIME)
        (folder / f"device-{index}.pem").write_bytes(key_to_pem(key) + to_pem([issued]))
