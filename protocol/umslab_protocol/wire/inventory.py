# SPDX-License-Identifier: Apache-2.0
"""What a device says about itself and about what happens on it.

Provenance: SIMULATED bytes (NP20). The members carry the names that the vendor's REST interface gives them (section
15.4 of the facts; 11.2 device attributes, 11.3 network adapters, 11.4 asset events, 15.5 log-on history); only
`firmwareVersion` and what this docstring's classes call ours are this project's own.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

Text = Annotated[str, Meta(max_length=255)]
LongText = Annotated[str, Meta(max_length=2000)]
AttributeValue = Annotated[str, Meta(max_length=100)]  # 11.2: values have up to 100 characters
Milliseconds = Annotated[int, Meta(ge=0, le=2**53)]


class NetworkAdapter(Struct, frozen=True, kw_only=True):
    """One network adapter (11.3)."""

    type: Text
    mac: Text
    name: Text
    state: Text
    """`up` or `down`."""


class DeviceInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a device is; names as in section 15.4 of the facts, all optional but the first four."""

    unitID: Text  # noqa: N815 - the published name
    mac: Text
    firmwareVersion: Text  # noqa: N815 - ours
    productId: Text  # noqa: N815
    networkName: Text = ""  # noqa: N815
    serialNumber: Text = ""  # noqa: N815
    umsStructuralTag: Text = ""  # noqa: N815
    deviceType: Text = ""  # noqa: N815
    deviceSerialNumber: Text = ""  # noqa: N815
    osType: Text = ""  # noqa: N815
    cpuType: Text = ""  # noqa: N815
    cpuSpeed: int = 0  # noqa: N815
    memorySize: int = 0  # noqa: N815
    flashSize: int = 0  # noqa: N815
    biosVendor: Text = ""  # noqa: N815
    biosVersion: Text = ""  # noqa: N815
    biosDate: Text = ""  # noqa: N815
    monitorVendor1: Text = ""  # noqa: N815
    monitorModel1: Text = ""  # noqa: N815
    monitorSerialnumber1: Text = ""  # noqa: N815
    lastBoottime: Text = ""  # noqa: N815
    networkAdapters: Annotated[list[NetworkAdapter], Meta(max_length=64)] = []  # noqa: N815


class Runtime(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What changes all the time; times are decimal strings of milliseconds, as the samples of section 15.4 look."""

    totalUptime: Text = ""  # noqa: N815
    totalUsagetime: Text = ""  # noqa: N815
    batteryLevel: int = -1  # noqa: N815
    """Per cent; -1 without a battery."""


class InstallState(StrEnum):
    """How far an app or a file is; ours, after the states that "Installed Apps" shows (FU7)."""

    PENDING = "pending"
    INSTALLING = "installing"
    INSTALLED = "installed"
    FAILED = "failed"


class AppState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One app on the device."""

    name: Text
    version: Text
    state: InstallState
    message: LongText = ""
    """Why it failed."""


class FileState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file that the server ordered; ours."""

    name: Text
    sha256: Text
    state: InstallState
    message: LongText = ""


class Licence(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One licence on the device; ours."""

    name: Text
    state: Text
    """`valid`, `expired` or `missing`."""
    validUntil: Text = ""  # noqa: N815


class DeviceAttribute(Struct, frozen=True, kw_only=True):
    """A device attribute that the device may write (11.2)."""

    identifier: Text
    value: AttributeValue


class LogonEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A user logged on, or off (15.4, `userLoginHistory`)."""

    username: Text
    loginresult: Annotated[int, Meta(ge=0, le=6)] = 0
    """0 OK, 1 logon failed, 2 user not found, 3 bad password, 4 password expired, 5 no licence, 6 device unknown."""
    logintime: Text
    """`YYYY-MM-DD HH:MM:SS.mmm`"""
    logofftime: Text = ""
    """The same form; empty while logged on."""
    logontype: Text = "unknown"


class Asset(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something plugged into the device (AI2)."""

    assetName: Text  # noqa: N815
    assetVendor: Text = ""  # noqa: N815
    deviceId: Text  # noqa: N815
    """USB vendor and product, `1234:5678`."""


class AssetChange(StrEnum):
    """What happened to an asset (AI1)."""

    ADD = "add"
    REMOVE = "remove"
    ADD_ON_BOOT = "add_on_boot"
    REMOVE_ON_BOOT = "remove_on_boot"


class AssetEvent(Struct, frozen=True, kw_only=True):
    """An asset came or went (AI1)."""

    event: AssetChange
    eventTimeStamp: Milliseconds  # noqa: N815 - Unix milliseconds
    asset: Asset
