# SPDX-License-Identifier: Apache-2.0
"""How a simulated device behaves: every key of a behaviour file with its default, unit and bounds.

Everything here is ours: the vendor does not say how long a device boots, or how often its users log on. `umslab device
--behaviour FILE` reads it as TOML; unknown keys are refused.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from umslab_protocol.wire.inventory import AttributeValue, Text
from umslab_protocol.wire.orders import Settings

Seconds = Annotated[float, Meta(ge=0, le=30 * 86_400)]
PerDay = Annotated[float, Meta(ge=0, le=1_000)]
Share = Annotated[float, Meta(ge=0, le=1)]


class DeviceBehaviour(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a device does by itself, and how it takes what it is told."""

    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    """From which its chance and its inventory are made; without a value: from its persona."""
    boot_seconds: Seconds = 30.0
    """From going down to the first connection."""
    resume_after_seconds: Seconds | None = None
    """A suspended device wakes up after this; without a value: when it is woken up."""
    power_on_after_seconds: Seconds | None = None
    """A device that was shut down is switched on after this; without a value: its run ends."""
    after_reset: Literal["stay", "onboard"] = "stay"
    """After a reset to factory defaults: stay as it is, or boot and come on board again with its key."""
    update_seconds: Seconds = 15.0
    """How long a firmware update takes."""
    app_install_seconds: Seconds = 20.0
    """How long the installation of an app takes, on average: from half of it to half as much again."""
    app_failure: Share = 0.0
    """How likely the installation of an app fails."""
    apps: Annotated[dict[Text, Text], Meta(max_length=200)] = {}
    """Apps that are on a new device already, name and version; its first settings decide whether they stay."""
    file_retry_seconds: Annotated[float, Meta(gt=0, le=3_600)] = 5.0
    """Before a file that could not be fetched is asked for again; doubles each time."""
    log_ons_per_day: PerDay = 2.0
    """Told only when `system.remotemanager.log_authentication` is on."""
    assets_per_day: PerDay = 0.0
    """How many things are plugged in a day; each is pulled out some hours later."""
    sysinfo_changes_per_day: PerDay = 0.0
    """How often something about the device changes (its monitor), which it tells."""
    network_changes_per_day: PerDay = 0.0
    """How often a network adapter of an OS 11 device changes, which leads to a new contact (G3)."""
    licence: Literal["valid", "expired", "missing"] = "valid"
    """How it is with its licence, which it tells when it is asked (`refresh licence`)."""
    battery: bool = False
    """Whether it has a battery."""
    clock_skew_seconds: Annotated[float, Meta(ge=-(50 * 365 * 86_400), le=50 * 365 * 86_400)] = 0.0
    """How far its calendar is ahead of the right one; it judges certificates by it (SE7)."""
    attributes: Annotated[dict[Text, AttributeValue], Meta(max_length=200)] = {}
    """Device attributes that the device writes, by identifier (11.2)."""
    local_settings: Settings = {}
    """What was set on the device itself, for `tc2settings`."""
