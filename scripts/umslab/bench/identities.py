# SPDX-License-Identifier: Apache-2.0
"""Whether the server knows each device of a fleet as itself: its certificate and what it says of itself are its own.

Devices of one process share TLS contexts, whose certificate is another one before each connection: the place where
they could be mixed up. What the fleet planned and kept is held against what the server has registered, admitted (a
certificate counts as used by its digest, when a session is admitted with it) and been told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import trio

from umslab.fleet.state import FleetState
from umslab_agent.fleet.plan import make_plan
from umslab_agent.fleet.scenario import Scenario
from umslab_certs.chain import fingerprint
from umslab_certs.csr import device_unit_id
from umslab_certs.identity import identity_from_pem
from umslab_runtime.control import connect_control

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_IDENTITY = "identity.pem"


@dataclass(frozen=True, slots=True)
class Identity:
    """One device, as either side knows it."""

    certificate: str
    """The SHA-256 of the one in use, in hex; empty for none."""
    named: str
    """The unit ID in that certificate, or under which it is registered."""
    serial_number: str
    """Of its hardware, as it tells in its system information."""


def wrong_identities(own: Mapping[str, Identity], known: Mapping[str, Identity]) -> list[str]:
    """The unit IDs that only one side knows, whose certificate names another, or whom the sides know otherwise."""
    return sorted(
        unit_id
        for unit_id in own.keys() | known.keys()
        if own.get(unit_id) != known.get(unit_id) or own[unit_id].named != unit_id
    )


def planned_identities(state: Path, count: int) -> dict[str, Identity]:
    """What so many devices of the plan of `umslab fleet run --devices COUNT` have kept, by unit ID."""
    personas = {device.persona.unit_id: device.persona for device in make_plan(Scenario(devices=count)).devices}
    pieces = FleetState(state).load(personas)
    found = {}
    for unit_id, persona in personas.items():
        kept = pieces.get(unit_id, {}).get(_IDENTITY)
        digest, named = ("", "") if kept is None else _read(kept, unit_id)
        found[unit_id] = Identity(digest, named, persona.serial_number)
    return found


def _read(identity: bytes, unit_id: str) -> tuple[str, str]:
    certificate = identity_from_pem(identity, unit_id)[1][0]
    return fingerprint(certificate).digits.lower(), str(device_unit_id(certificate))


def known_identities(control: Path) -> dict[str, Identity]:
    """What the server has of each device that it knows, by unit ID: asked one by one over its control socket."""

    async def ask() -> list[Any]:
        async with connect_control(control) as client:
            listed = await client.call("devices.list", brief=True)
            return [await client.call("devices.show", unit_id=one["unit_id"]) for one in listed]

    return {one["unit_id"]: _known(one) for one in trio.run(ask)}


def _known(device: dict[str, Any]) -> Identity:
    admitted_with = [one["sha256"] for one in device["certificates"] if one["state"] == "active"]
    return Identity(",".join(admitted_with), device["unit_id"], device["info"].get("deviceSerialNumber", ""))
