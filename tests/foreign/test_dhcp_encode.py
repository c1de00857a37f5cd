# SPDX-License-Identifier: Apache-2.0
"""What `umslab dhcp encode` prints is loaded by the real servers, and yields what `umslab dhcp decode` expects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from umslab.dhcp.configurations import Scope, ServerKind, Wanted, configuration
from umslab_protocol.values.firmware import FirmwareVersion
from umslab_protocol.wire.igel_dhcp import Item, interpret

from .dhcp_lab import Lan, check, lan, serving
from .strangers import need

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAMS = {ServerKind.DNSMASQ: "dnsmasq", ServerKind.DHCPD: "dhcpd", ServerKind.KEA: "kea-dhcp4"}
CASES = [
    Wanted("ums.lab.example"),
    Wanted("192.0.2.10", "HQ", exclusive=True),
    Wanted("192.0.2.10", "1234", scope=Scope.GLOBAL),
    Wanted("ums", "HQ, Berlin", exclusive=True, scope=Scope.VENDOR),
    Wanted("ums-1", "Köln: \"Haus 7\" \\ 'EG' #1; {x}"),
    Wanted("dead", "ab:cd"),
]


@pytest.fixture(scope="module")
def network() -> Iterator[Lan]:
    """One LAN for all cases."""
    with lan() as names:
        yield names


@pytest.mark.parametrize("wanted", CASES, ids=lambda wanted: f"{wanted.server}-{wanted.scope}")
@pytest.mark.parametrize("kind", PROGRAMS)
def test_the_real_server_loads_it(kind: ServerKind, wanted: Wanted, tmp_path: Path) -> None:
    """In check mode, with no complaint."""
    need(PROGRAMS[kind])

    done = check(kind, configuration(wanted, kind), tmp_path)

    assert 0 == done.code


@pytest.mark.parametrize("wanted", CASES, ids=lambda wanted: f"{wanted.server}-{wanted.scope}")
@pytest.mark.parametrize("kind", PROGRAMS)
def test_the_real_server_serves_it(kind: ServerKind, wanted: Wanted, tmp_path: Path, network: Lan) -> None:
    """Each firmware gets, and makes of it, what the same options written by us mean."""
    need(PROGRAMS[kind])

    with serving(kind, configuration(wanted, kind), tmp_path, network):
        for text in ("12.8.4", "11.03.500"):
            firmware = FirmwareVersion.parse(text)
            seen, meant = interpret(network.ask(text), firmware), interpret(wanted.options(), firmware)

            assert meant.exclusive == seen.exclusive
            for item in (Item.SERVER, Item.TAG):
                assert meant.value(item) == seen.value(item)
            assert () == seen.warnings
