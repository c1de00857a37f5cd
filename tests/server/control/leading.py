# SPDX-License-Identifier: Apache-2.0
"""The control of what devices are told to trust and where to go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.server.visits import NAMES, Lead, lead_office
from umslab_server.approval import Approvals
from umslab_server.control.approval import ApprovalCommands
from umslab_server.control.certificates import CertificateCommands, RotationCommands
from umslab_server.control.connectors import ConnectorCommands
from umslab_server.control.dispatch import Control

from .desk import Desk

if TYPE_CHECKING:
    from pathlib import Path

    from tests.server.parts import Office


async def open_lead_desk(office: Office, path: Path) -> tuple[Desk, Lead]:
    """A desk with these areas, and the services behind it."""
    lead = await lead_office(office, path)
    control = Control(
        CertificateCommands(lead.certificates).table(),
        RotationCommands(lead.rotation, lead.client_cas, names=NAMES).table(),
        ConnectorCommands(lead.connectors).table(),
        ApprovalCommands(Approvals(office.store)).table(),
    )
    return Desk(control), lead
