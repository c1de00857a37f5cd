# SPDX-License-Identifier: Apache-2.0
"""The key that an OS 11 device shares with its UMS (`tckey`).

Provenance: that there is one, of 32 bytes, is documented by the community (G8); how it is written is ours: base64.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from umslab_protocol.errors import InvalidValueError

DEVICE_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """The secret; its `repr` does not show it, so that no log does."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Check the length."""
        if len(self.secret) != DEVICE_KEY_BYTES:
            raise InvalidValueError(f"a device key has {DEVICE_KEY_BYTES} bytes, not {len(self.secret)}")

    @property
    def text(self) -> str:
        """The secret in base64, for the registry, the key file and the registration; nowhere else."""
        return base64.b64encode(self.secret).decode("ascii")


def parse_device_key(text: str) -> DeviceKey:
    """Read a key; raises `InvalidValueError`, whose message never contains it."""
    try:
        secret = base64.b64decode(text, validate=True)
    except ValueError:  # also binascii.Error, and characters beyond ASCII
        raise InvalidValueError("a device key is written in base64") from None
    return DeviceKey(secret)
