# SPDX-License-Identifier: Apache-2.0
"""What a server hands out: settings, apps and files to have, connectors to use, commands to carry out.

Provenance: SIMULATED bytes (NP21, NP22). Commands have the names of the vendor's REST interface where it has one (J1);
the others are named after the operations of its console (J2).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from umslab_protocol.values.est_address import MAX_EST_ADDRESS_CHARACTERS
from umslab_protocol.wire.inventory import LongText, Text

MAX_PARAMETERS = 2_000
MAX_VALUE_CHARACTERS = 4_096
MAX_DOCUMENT_BYTES = 200 * 1024
"""A settings message as it is written; below the limit of one message, and enforced by the server before it sends."""

# `$` alone would let a line break at the end pass, in Python; (?!\n) means the same in every dialect.
SettingName = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9_.%-]+$(?!\n)")]
SettingValue = Annotated[str, Meta(max_length=MAX_VALUE_CHARACTERS)]
Settings = Annotated[dict[SettingName, SettingValue], Meta(max_length=MAX_PARAMETERS)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
FileName = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]*$(?!\n)")]


class AppOrder(Struct, frozen=True, kw_only=True):
    """An app the device is to have."""

    name: Text
    version: Text


class FileOrder(Struct, frozen=True, kw_only=True):
    """A file the device is to have; it is fetched over HTTPS with the client certificate (FU2)."""

    name: FileName
    sha256: Sha256
    size: Annotated[int, Meta(ge=0, le=2**40)]


class ConnectorType(StrEnum):
    """What stands at the address (W5, W7)."""

    UMS = "ums"
    ICG = "icg"
    UNDEFINED = "undefined"


class Connector(Struct, frozen=True, kw_only=True):
    """One device connector: an address a device may connect to (W4)."""

    type: ConnectorType = ConnectorType.UNDEFINED
    host: Annotated[str, Meta(min_length=1, max_length=255)]
    port: Annotated[int, Meta(ge=1, le=65535)]


EnrolmentAddress = Annotated[str, Meta(max_length=MAX_EST_ADDRESS_CHARACTERS)]
"""`HOST:PORT`, with a path when EST is not where it always is (S7)."""


class CommandName(StrEnum):
    """The commands a device knows (J1, J2)."""

    REBOOT = "reboot"
    SHUTDOWN = "shutdown"
    SUSPEND = "suspend"
    SETTINGS_TO_DEVICE = "settings2tc"
    SETTINGS_FROM_DEVICE = "tc2settings"
    FACTORY_RESET = "tcreset2facdefs"
    UPDATE = "update"
    UPDATE_ON_SHUTDOWN = "updateonshutdown"
    REFRESH_SYSTEM_INFORMATION = "refreshsysinfo"
    REFRESH_LICENCE = "refreshlicence"
    MESSAGE = "message"
    FILE_TRANSFER = "filetransfer"
    DEVICE_COMMAND = "devicecommand"
    WAKE_UP = "wakeup"
    """Magic packets to a device that sleeps: sent by the server, or by a device for another (WL4)."""
    CHECK_REENROLMENT = "checkreenroll"
    """Look whether the certificate is due for renewal now (X10), or renew it in any case."""


class ResultState(StrEnum):
    """How a command ended (section 15.4, CommandExec)."""

    SUCCESS = "SUCCESS"
    FAILED = "FAILED"


TRUE = "true"
"""The only value of a parameter that is a switch; without it, it is off."""
Parameters = Annotated[dict[Text, LongText], Meta(max_length=32)]
