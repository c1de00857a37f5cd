# SPDX-License-Identifier: Apache-2.0
"""All commands of the control socket, gathered from their areas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from umslab_server.control.accounts import AccountCommands
from umslab_server.control.approval import ApprovalCommands
from umslab_server.control.attributes import AttributeCommands
from umslab_server.control.certificates import CertificateCommands, RotationCommands
from umslab_server.control.commands import CommandCommands
from umslab_server.control.connectors import ConnectorCommands
from umslab_server.control.devices import DeviceCommands
from umslab_server.control.directories import DirectoryCommands
from umslab_server.control.dispatch import Control
from umslab_server.control.jobs import JobCommands
from umslab_server.control.keys import KeyCommands
from umslab_server.control.neighbours import NeighbourCommands
from umslab_server.control.profiles import ProfileCommands
from umslab_server.control.rules import RuleCommands
from umslab_server.control.server import ServerCommands
from umslab_server.control.views import ViewCommands
from umslab_server.control.why import WhyCommands
from umslab_server.services import device_names

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from umslab_runtime.clock import Clock
    from umslab_server.config import ServerConfig
    from umslab_server.services import Services


def build_control(
    services: Services,
    config: ServerConfig,
    *,
    clock: Clock,
    status: Callable[[], Awaitable[dict[str, Any]]],
    backup: Callable[[str], Awaitable[dict[str, Any]]],
) -> Control:
    """Return the dispatcher with every command there is."""
    return Control(
        ServerCommands(services.store, status=status, backup=backup).table(),
        KeyCommands(services.keys).table(),
        DeviceCommands(services.registry).table(),
        DirectoryCommands(services.directories).table(),
        ProfileCommands(
            profiles=services.profiles,
            apps=services.apps,
            files=services.files,
            assignments=services.assignments,
            overview=services.overview,
            configuration=services.configuration,
        ).table(),
        RuleCommands(services.rules).table(),
        CommandCommands(services.commands, clock=clock).table(),
        JobCommands(services.jobs, timeout_seconds=config.requests.timeout_seconds).table(),
        ViewCommands(services.views).table(),
        NeighbourCommands(services.online_checks, services.scans, services.commands).table(),
        CertificateCommands(services.certificates).table(),
        RotationCommands(services.rotation, services.client_cas, names=device_names(config)).table(),
        ConnectorCommands(services.connectors).table(),
        AttributeCommands(services.attributes).table(),
        AccountCommands(services.os11.accounts).table(),
        ApprovalCommands(services.approvals).table(),
        WhyCommands(services.why).table(),
    )
