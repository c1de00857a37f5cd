# SPDX-License-Identifier: Apache-2.0
"""The sources DHCP 43 and DHCP 224: what IGEL OS makes of the options of a lease (facts D2-D7, D11).

Provenance: as for `umslab_protocol.wire.igel_dhcp`, which reads the options. With "exclusive" in option 43 there is no
source 224 (D5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab_agent.discovery import Absent, Found, Source
from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.fingerprint import Fingerprint
from umslab_protocol.values.host_port import DEFAULT_WEB_PORT, HostPort
from umslab_protocol.values.structure_tag import parse_structure_tag
from umslab_protocol.wire.dhcp_options import Code
from umslab_protocol.wire.igel_dhcp import ExtraCodes, IgelView, Item, Place, interpret

if TYPE_CHECKING:
    from collections.abc import Sequence

    from umslab_protocol.values.firmware import FirmwareVersion
    from umslab_protocol.wire.dhcp_options import Option


class DhcpSource:
    """The options of one lease, as this firmware reads them."""

    def __init__(self, options: Sequence[Option], firmware: FirmwareVersion, extra: ExtraCodes | None = None) -> None:
        self._view = interpret(options, firmware, extra)
        outside = [option for option in options if option.code != Code.VENDOR_SPECIFIC]
        self._outside = interpret(outside, firmware, extra)

    async def find_vendor(self) -> Found | Absent:
        """The address inside option 43."""
        return self._find(Source.DHCP43, self._view, Place.VENDOR, "option 43 names no UMS")

    async def find_global(self) -> Found | Absent:
        """The address in option 224."""
        if self._view.exclusive:
            text = "option 43 is exclusive, so option 224 does not count (D5)"
            return Absent(source=Source.DHCP224, reason="exclusive", text=text)
        return self._find(Source.DHCP224, self._outside, Place.GLOBAL, "option 224 is missing")

    def _find(self, source: Source, view: IgelView, place: Place, missing: str) -> Found | Absent:
        server = view.settings.get(Item.SERVER)
        if server is None or server.place is not place:
            said = [remark.text for remark in (*view.warnings, *view.reasons)]
            return Absent(source=source, reason="no-option", text="; ".join((missing, *said)))
        port = int(view.value(Item.PORT) or DEFAULT_WEB_PORT)
        ca_hash = self._view.value(Item.CA_HASH)
        return Found(
            source=source,
            targets=(HostPort(server.value, port),),  # the first of a list (D15)
            why=f"{server.source}, {', '.join(server.facts)}",
            auth_key=self._view.value(Item.AUTH_KEY),
            ca_hash=None if ca_hash is None else Fingerprint.parse(ca_hash),
            structure_tag=_tag(self._view.value(Item.TAG)),
        )


def _tag(text: str | None) -> str:
    try:
        return parse_structure_tag(text or "")
    except InvalidValueError:
        return ""
