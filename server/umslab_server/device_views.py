# SPDX-License-Identifier: Apache-2.0
"""Devices and their certificates as the terminal shows them; registry.py makes them of its rows."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import select

from umslab_server.device_states import OF_OVERLAYS
from umslab_server.tables import device

SAID = ("runtime", "apps", "files", "licences", "attributes", "own_settings")
"""Columns in JSON that are shown only where one device was asked for."""


class CertificateView(Struct, frozen=True, kw_only=True):
    """One certificate of a device."""

    sha256: str
    serial: str
    state: str
    """`issued`, `active`, `superseded` or `revoked`."""
    issued_at: str
    not_after: str
    first_used_at: str | None


class DeviceView(Struct, frozen=True, kw_only=True):
    """A device as the terminal shows it."""

    id: int
    unit_id: str
    mac: str
    name: str
    state: str
    """`online`, `offline`, `unknown` (an OS 11 device nobody has asked), `never-registered` or `in-bin` (8.1)."""
    icon: str
    """`green`, `red` or `grey` (8.1)."""
    overlays: list[str]
    """What the vendor's console lays over the icon; see `device_states.overlays`."""
    generation: str
    """`12`, or `11`: by which protocol it is managed."""
    checked_at: str | None
    """Since when an OS 11 device has answered the online check, or not answered it."""
    firmware: str
    last_ip: str
    structure_tag: str
    serial_number: str
    site: str
    department: str
    cost_center: str
    comment: str
    asset_id: str
    inservice_date: str
    created_at: str
    registered_at: str | None
    last_contact: str | None
    binned_at: str | None
    directory: str
    """Its path."""
    onboarded_by: str
    """A mail address (B5)."""
    onboarding_role: str
    config_changes: str
    """`PENDING` while it has not acknowledged what it is to have, else `APPLIED`."""
    settings_version: int
    """What it is to have; 0 before it first asked."""
    settings_when: str
    """`now`, or `reboot` when what is pending is kept for the next boot."""
    applied_version: int
    applied_at: str | None
    booted_at: str | None
    last_user: str
    info: dict[str, Any]
    # Only where one device was asked for:
    runtime: dict[str, Any] = {}
    apps: list[dict[str, Any]] = []
    files: list[dict[str, Any]] = []
    licences: list[dict[str, Any]] = []
    attributes: list[dict[str, Any]] = []
    own_settings: dict[str, str] = {}
    logons: list[dict[str, Any]] = []
    """Users that logged on and off, newest first (15.5)."""
    assets: list[dict[str, Any]] = []
    """What was plugged in and out, newest first (11.4)."""
    certificates: list[CertificateView] = []


class DeviceLine(Struct, frozen=True, kw_only=True):
    """A device in a list for people: what fits into a line; the members mean what they mean in `DeviceView`."""

    unit_id: str
    name: str
    state: str
    overlays: list[str]
    generation: str
    firmware: str
    last_ip: str
    directory: str
    config_changes: str
    last_contact: str | None


KEPT = [name for name in DeviceView.__struct_fields__ if name in device.c and name not in {"info", *SAID}]
"""Columns that are shown as they are."""
BRIEF = select(
    device.c.unit_id, device.c.name, device.c.generation, device.c.firmware, device.c.last_ip, device.c.directory_id,
    device.c.last_contact, device.c.registered_at, device.c.binned_at, device.c.settings_digest,
    device.c.applied_digest, device.c.last_user, device.c.licences, *OF_OVERLAYS,
)  # fmt: skip
"""What a `DeviceLine` is made of."""
