# SPDX-License-Identifier: Apache-2.0
"""The first word of a device."""

from __future__ import annotations

from umslab_protocol.wire.messages import VERSIONS, Hello


def hello(unit_id: str, *, boot: str = "1", firmware: str = "12.8.4") -> Hello:
    """A hello as a device of today says it."""
    return Hello(versions=list(VERSIONS), unitID=unit_id, firmwareVersion=firmware, boot=boot)
