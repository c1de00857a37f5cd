# SPDX-License-Identifier: Apache-2.0
"""What a watcher of a device may want to know, besides its state."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What kind of thing happened."""

    BOOTED = "booted"
    DHCP = "dhcp"
    DISCOVERY = "discovery"
    SETTINGS = "settings"
    FILE = "file"
    APP = "app"
    COMMAND = "command"
    MESSAGE = "message"
    CONNECTORS = "connectors"
    ROOTS = "roots"
    FIRMWARE = "firmware"
    HEARTBEAT = "heartbeat"
    RELEASE = "release"
    REGISTERED = "registered"
    """OS 11, as the two that follow."""
    LISTENING = "listening"
    NETWORK = "network"


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened on a device: a sentence for people, and data for machines."""

    kind: Kind
    text: str
    data: dict[str, str | int] = field(default_factory=dict)


def ignore(_: Happening) -> None:
    """Take no notice."""
