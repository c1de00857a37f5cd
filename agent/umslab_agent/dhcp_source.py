# SPDX-License-Identifier: Apache-2.0
"""The sources DHCP 43 and DHCP 224: what IGEL OS makes of the options that DHCP gave (facts D2-D7, D11).

Provenance: as for `umslab_protocol.wire.igel_dhcp`, which reads the options. With "exclusive" in option 43 there is no
source 224 (D5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from umslab_agent.discovery import Absent, Found, Source
from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.fingerprint import Fingerprint
from umslab_protocol.values.host_port import DEFAULT_WEB_PORT, HostPort
from umslab_protocol.values.structure_tag import parse_structure_tag
from umslab_protocol.wire.dhcp_options import Code
from umslab_protocol.wire.igel_dhcp import ExtraCodes, IgelView, Item, Place, interpret

if TYPE_CHECKING:
    from collections.abc import Callable

    from umslab_protocol.values.firmware import FirmwareVersion
    from umslab_protocol.wire.dhcp_options import Option


@dataclass(frozen=True, slots=True)
class Heard:
    """What DHCP gave, and the firmware that reads it."""

    options: tuple[Option, ...]
    firmware: FirmwareVersion


class DhcpSource:
    """What was heard last, as the firmware reads it."""

    def __init__(
        self, heard: Callable[[], Heard | str], extra: ExtraCodes | None = None, *, port: int = DEFAULT_WEB_PORT
    ) -> None:
        """`heard` returns the options that count now, or why there are none; `port` is used where none says another."""
        self._port = port
        self._heard = heard
        self._extra = extra

    async def find_vendor(self) -> Found | Absent:
        """The address inside option 43."""
        heard = self._heard()
        if isinstance(heard, str):
            return Absent(source=Source.DHCP43, reason="no-lease", text=heard)
        view = interpret(heard.options, heard.firmware, self._extra)
        return _find(Source.DHCP43, view, view, "option 43 names no UMS", self._port)

    async def find_global(self) -> Found | Absent:
        """The address in option 224."""
        heard = self._heard()
        if isinstance(heard, str):
            return Absent(source=Source.DHCP224, reason="no-lease", text=heard)
        whole = interpret(heard.options, heard.firmware, self._extra)
        if whole.exclusive:
            text = "option 43 is exclusive, so option 224 does not count (D5)"
            return Absent(source=Source.DHCP224, reason="exclusive", text=text)
        if Item.SERVER not in whole.settings:  # what cannot be used inside option 43 hides it all the same (D6)
            return _find(Source.DHCP224, whole, whole, "option 224 does not count or is missing", self._port)
        outside = [option for option in heard.options if option.code != Code.VENDOR_SPECIFIC]
        view = interpret(outside, heard.firmware, self._extra)
        return _find(Source.DHCP224, view, whole, "option 224 is missing", self._port)


_PLACES = {Source.DHCP43: Place.VENDOR, Source.DHCP224: Place.GLOBAL}


def _find(source: Source, view: IgelView, whole: IgelView, missing: str, port: int) -> Found | Absent:
    """The address in `view`; what belongs to it comes from all that was heard."""
    server = view.settings.get(Item.SERVER)
    if server is None or server.place is not _PLACES[source]:
        said = [remark.text for remark in (*view.warnings, *view.reasons)]
        return Absent(source=source, reason="no-option", text="; ".join((missing, *said)))
    ca_hash = whole.value(Item.CA_HASH)
    return Found(
        source=source,
        targets=(HostPort(server.value, int(view.value(Item.PORT) or port)),),  # the first of a list (D15)
        why=f"{server.source}, {', '.join(server.facts)}",
        auth_key=whole.value(Item.AUTH_KEY),
        ca_hash=None if ca_hash is None else Fingerprint.parse(ca_hash),
        structure_tag=_tag(whole.value(Item.TAG)),
    )


def _tag(text: str | None) -> str:
    try:
        return parse_structure_tag(text or "")
    except InvalidValueError:
        return ""
