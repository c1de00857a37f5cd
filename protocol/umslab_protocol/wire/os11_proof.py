# SPDX-License-Identifier: Apache-2.0
"""What a device's key proves: who speaks on TCP 30001 and 30005, and who may fetch a file.

Provenance: SIMULATED (NP3-NP5). Documented are a device key of 32 bytes (G8) and that commands carry some check against
manipulation (G18). HMAC-SHA256 (RFC 2104) is a standard; what it covers is ours: a label, a zero byte, the unit ID, a
zero byte, and then

    proof         the nonce of the caller, the nonce of the called (32 bytes each)
    file ticket   the SHA-256 of the file (32 bytes), the end of validity in Unix seconds (8 bytes, big-endian)

The label differs with the port and with who speaks, so that no proof can be sent back to its maker, nor to the other
port; the nonces are fresh on both sides, so that none can be used again.
"""

from __future__ import annotations

import hashlib
import hmac
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from umslab_protocol.values.device_key import DeviceKey
    from umslab_protocol.values.unit_id import UnitId

_MAX_SECONDS = 2**63


class Speaker(StrEnum):
    """Who proves, and on which port; the value is the label."""

    CALLING_DEVICE = "umslab 30001 device"
    ANSWERING_SERVER = "umslab 30001 server"
    CALLING_SERVER = "umslab 30005 server"
    ANSWERING_DEVICE = "umslab 30005 device"


def make_proof(key: DeviceKey, speaker: Speaker, unit_id: UnitId, *, caller: str, called: str) -> str:
    """Return a proof as 64 hexadecimal digits; `caller` and `called` are the nonces, as hexadecimal digits."""
    return _mac(key, speaker, unit_id, bytes.fromhex(caller) + bytes.fromhex(called))


def make_file_ticket(key: DeviceKey, unit_id: UnitId, sha256: str, expires: int) -> str:
    """Return what lets a device fetch the file with this SHA-256 until `expires`, in Unix seconds (FU1)."""
    end = max(0, min(expires, _MAX_SECONDS))
    return _mac(key, "umslab ums_filetransfer", unit_id, bytes.fromhex(sha256) + end.to_bytes(8, "big"))


def is_same(given: str, expected: str) -> bool:
    """Compare two proofs or tickets in constant time; `given` may be any text."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode("ascii"))


def _mac(key: DeviceKey, label: str, unit_id: UnitId, covered: bytes) -> str:
    message = b"\0".join((label.encode("ascii"), unit_id.encode("ascii"), covered))
    return hmac.new(key.secret, message, hashlib.sha256).hexdigest()
