# SPDX-License-Identifier: Apache-2.0
"""Where an OS 11 device finds its UMS: the sources of discovery.py, and the address stored at registration (W9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab_agent.discovery import Absent, Found, Source
from umslab_agent.folder import PIN
from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.host_port import DEVICE_COMMUNICATION_PORT, parse_host_port

if TYPE_CHECKING:
    from umslab_agent.unit import Unit


def stored_address(unit: Unit) -> Found | Absent:
    """The address of the UMS whose certificate the device keeps. Raises `DeviceFolderError` for damaged files."""
    source = Source.STORED
    if not unit.folder.shelf.exists(PIN):
        return Absent(source=source, reason="not-registered", text="the device is not registered, so nothing is stored")
    try:
        target = parse_host_port(unit.folder.discovered.load().address, DEVICE_COMMUNICATION_PORT)
    except InvalidValueError:
        return Absent(source=source, reason="nothing-stored", text="no address is stored")
    return Found(source=source, targets=(target,), why="stored at registration, W9")
