# SPDX-License-Identifier: Apache-2.0
"""The state of a device and how the vendor's console shows it: the colour of its icon, what is laid over it (8.1).

Provenance: documented are the colours green and red, and that there are overlays for settings that wait (exclamation),
the login screen, a lock, an update, a missing licence, a device that never registered, and the gateway. That grey means
"unknown" is our reading, the names of the overlays are ours. Not shown is what no simulated device can tell: a locked
screen, and the gateway, which is not simulated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import select

from umslab_protocol.wire.inventory import Licence
from umslab_protocol.wire.orders import CommandName
from umslab_server.tables import OS11, device, execution, logon, task

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from umslab_server.presence import Presence

_ICONS = {"online": "green", "offline": "red"}
_VALID = "valid"
_LICENCES = msgspec.json.Decoder(list[Licence])
_SAID_NOTHING = "[]"

OF_OVERLAYS = (
    select(task.c.id)
    .join(execution, execution.c.id == task.c.execution_id)
    .where(task.c.unit_id == device.c.unit_id, task.c.state == "sent", execution.c.command == CommandName.UPDATE)
    .correlate(device)
    .exists()
    .label("is_updating"),
    select(logon.c.id)
    .where(device.c.last_user != "", logon.c.unit_id == device.c.unit_id)  # most devices tell of no log-ons
    .where(logon.c.loginresult == 0, logon.c.logofftime == "")
    .correlate(device)
    .exists()
    .label("is_logged_on"),
)
"""What is selected beside the columns of a device for `overlays`."""


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


def overlays(row: RowMapping, state: str, *, pending: bool) -> list[str]:
    """What is laid over it; `row` has the columns of `OF_OVERLAYS` too.

    `exclamation` while settings are not transferred, `updating`, `login-screen` while nobody is logged on to a device
    that tells of log-ons, `no-licence` when it told that none is valid, `never-registered`.
    """
    if state == "never-registered":
        return ["never-registered"]
    online = state == "online"
    laid_over = {
        "exclamation": pending,
        "updating": online and row["is_updating"],
        "login-screen": online and row["last_user"] and not row["is_logged_on"],
        "no-licence": _lacks_licence(row["licences"]),
    }
    return [name for name, shown in laid_over.items() if shown]


def _lacks_licence(said: str) -> bool:
    return said != _SAID_NOTHING and not any(one.state == _VALID for one in _LICENCES.decode(said))
