# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.wire.inventory: what a device says has the vendor's names; limits: test_messages.py."""

from __future__ import annotations

import msgspec
import pytest

from umslab_protocol.wire.inventory import (
    Asset,
    AssetChange,
    AssetEvent,
    DeviceInfo,
    InstallState,
    LogonEvent,
    NetworkAdapter,
    Runtime,
)

# Section 15.4 of the facts, as far as a device knows it.
DETAILS = """unitID mac networkName serialNumber productId umsStructuralTag cpuSpeed cpuType deviceType osType
    deviceSerialNumber flashSize memorySize biosVendor biosVersion biosDate monitorVendor1 monitorModel1
    monitorSerialnumber1 totalUsagetime totalUptime lastBoottime batteryLevel networkAdapters"""
INFO = DeviceInfo(unitID="020000000001", mac="020000000001", firmwareVersion="12.8.4", productId="UD3")


@pytest.mark.parametrize("name", [*DeviceInfo.__struct_fields__, *Runtime.__struct_fields__])
def test_attributes_of_a_device(name: str) -> None:
    """The names are those of the vendor's REST interface (section 15.4); only the firmware's version is not."""
    assert name in {*DETAILS.split(), "firmwareVersion"}


def test_names_of_what_happens() -> None:
    """Sections 15.4 and 11.3, AI1 and AI2 have these names."""
    assert ("type", "mac", "name", "state") == NetworkAdapter.__struct_fields__
    assert ("username", "loginresult", "logintime", "logofftime", "logontype") == LogonEvent.__struct_fields__
    assert ("event", "eventTimeStamp", "asset") == AssetEvent.__struct_fields__
    assert ("assetName", "assetVendor", "deviceId") == Asset.__struct_fields__
    assert ["add", "remove", "add_on_boot", "remove_on_boot"] == [str(one) for one in AssetChange]


def test_states_of_an_installation() -> None:
    """Pending, installing, installed, failed: the four that the console shows."""
    assert ["pending", "installing", "installed", "failed"] == [str(one) for one in InstallState]


def test_what_changes_is_apart_from_what_is() -> None:
    """Otherwise the checksum of the system information would be another one every time."""
    assert set() == set(DeviceInfo.__struct_fields__) & set(Runtime.__struct_fields__)


def test_defaults_are_not_sent() -> None:
    """So that equal information has equal bytes, whatever is left out or said."""
    said = msgspec.structs.replace(INFO, networkName="", cpuSpeed=0, networkAdapters=[])

    assert msgspec.json.encode(INFO) == msgspec.json.encode(said)
    assert b"networkAdapters" not in msgspec.json.encode(INFO)
    assert b"{}" == msgspec.json.encode(Runtime())


def test_a_message_cannot_be_changed() -> None:
    """Codecs, sessions and services pass the same object on."""
    with pytest.raises(AttributeError, match="immutable"):
        INFO.mac = "020000000002"  # type: ignore[misc]
