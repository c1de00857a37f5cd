# SPDX-License-Identifier: Apache-2.0
"""The state of a device and how the vendor's console shows it: the colour of its icon, what is laid over it (8.1).

Provenance: documented for green, red and the overlays here; that grey means "unknown" is our reading. Not shown are
overlays of which umslab knows nothing: logged-on users, updates, licences, gateways.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab_server.tables import OS11

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from umslab_server.presence import Presence

_ICONS = {"online": "green", "offline": "red"}


def state_of(row: RowMapping, presence: Presence) -> str:
    """`online`, `offline`, `unknown` (an OS 11 device nobody has asked), `never-registered` or `in-bin`."""
    if row["binned_at"] is not None:
        return "in-bin"
    if row["registered_at"] is None:
        return "never-registered"
    if row["generation"] == OS11 and not presence.is_known(row["unit_id"]):
        return "unknown"
    return "online" if presence.is_online(row["unit_id"]) else "offline"


def icon(state: str) -> str:
    """The colour: green, red or grey."""
    return _ICONS.get(state, "grey")


def overlays(state: str, *, pending: bool) -> list[str]:
    """What is laid over it: `exclamation` while settings are not transferred, `never-registered`."""
    if state == "never-registered":
        return ["never-registered"]
    return ["exclamation"] if pending else []
