# SPDX-License-Identifier: Apache-2.0
"""How an OS 11 device fetches a file (facts FU1, E7): over HTTPS from the one server it trusts, with a ticket.

Provenance: HTTPS after an order over 30005, and the path, are documented; the port of its own (IGEL's use 8443, which
speaks TLS 1.3 only here) and the ticket, which travels as HTTP Basic credentials (RFC 7617) with the unit ID as the
user and `EXPIRES:TICKET` as the password, are SIMULATED.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab_agent.link import TlsIdentity
from umslab_agent.os11.keeping import load_or_make_key, load_pin
from umslab_agent.unit import Errand
from umslab_protocol.values.host_port import FILE_TRANSFER_PORT, HostPort
from umslab_protocol.values.unit_id import UnitId
from umslab_protocol.wire.basic_auth import format_basic
from umslab_protocol.wire.os11_proof import make_file_ticket
from umslab_protocol.wire.paths import FILE_TRANSFER

if TYPE_CHECKING:
    from umslab_agent.unit import Unit

TICKET_SECONDS = 900
"""How long a ticket is good: longer than one request may take."""


def file_errand(unit: Unit, port: int, sha256: str) -> Errand:
    """Say how the file with this SHA-256 is fetched; `port` 0 is the usual one.

    Raises `DeviceFolderError`, or `OSError` without a server.
    """
    pin = load_pin(unit.folder)
    if pin is None or unit.connected_to is None:
        raise OSError("there is no server to fetch files from")
    key, unit_id = load_or_make_key(unit.folder, unit.world.entropy), UnitId(unit.persona.unit_id)
    expires = int(unit.utc().timestamp()) + TICKET_SECONDS
    ticket = make_file_ticket(key, unit_id, sha256, expires)
    return Errand(
        target=HostPort(unit.connected_to.host, port or FILE_TRANSFER_PORT),
        identity=TlsIdentity(unit.world.contexts.exact(pin), lambda: None),
        path=f"{FILE_TRANSFER}/{sha256}",
        headers=[("Authorization", format_basic(unit_id, f"{expires}:{ticket}"))],
    )
