# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_agent.dhcp_source."""

from __future__ import annotations

from umslab_agent.dhcp_source import DhcpSource, Heard
from umslab_agent.discovery import Absent, Found, Source
from umslab_protocol.values.fingerprint import Fingerprint
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE, FirmwareVersion
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.wire.dhcp_options import Code, Option
from umslab_protocol.wire.igel_dhcp import ExtraCodes, vendor_payload

GLOBAL = [Option(Code.IGEL_SERVER, b"global.example"), Option(Code.IGEL_STRUCTURE_TAG, b"OUT")]


def read(
    options: list[Option], firmware: FirmwareVersion = DEFAULT_FIRMWARE, extra: ExtraCodes | None = None
) -> DhcpSource:
    """The source after these options were heard."""
    return DhcpSource(lambda: Heard(tuple(options), firmware), extra)


def vendor(*, exclusive: bool = False, tag: str = "IN") -> Option:
    """Option 43."""
    return Option(Code.VENDOR_SPECIFIC, vendor_payload(server="vendor.example", tag=tag, exclusive=exclusive))


async def test_both_sources() -> None:
    """Each says what it has; the tag inside option 43 beats the one outside (D6)."""
    source = read([*GLOBAL, vendor()])
    inside, outside = await source.find_vendor(), await source.find_global()

    assert isinstance(inside, Found)
    assert isinstance(outside, Found)
    assert (Source.DHCP43, (HostPort("vendor.example", 8443),), "IN") == (
        inside.source,
        inside.targets,
        inside.structure_tag,
    )
    assert (Source.DHCP224, (HostPort("global.example", 8443),), "IN") == (
        outside.source,
        outside.targets,
        outside.structure_tag,
    )


async def test_exclusive() -> None:
    """Option 224 is none then (D5)."""
    source = read([*GLOBAL, vendor(exclusive=True)])
    outside = await source.find_global()

    assert isinstance(outside, Absent)
    assert "exclusive" == outside.reason


async def test_nothing_and_nonsense() -> None:
    """A reason each, with what is odd."""
    nothing = read([])
    broken = read([Option(Code.IGEL_SERVER, b"\xff \xff")])
    old = read([vendor()], FirmwareVersion.parse("11.03.500"))

    for found in (await nothing.find_vendor(), await nothing.find_global(), await old.find_vendor()):
        assert isinstance(found, Absent)
        assert "no-option" == found.reason
    found = await broken.find_global()
    assert isinstance(found, Absent)
    assert "cannot be used" in found.text


async def test_port_key_and_hash() -> None:
    """The options of 12.7.2, with codes that a user gave (D11)."""
    digest = bytes(range(32))
    options = [*GLOBAL, Option(240, b"9443"), Option(241, b"welcome"), Option(242, digest)]
    source = read(options, FirmwareVersion.parse("12.10.0"), ExtraCodes(port=240, auth_key=241, ca_hash=242))
    found = await source.find_global()

    assert isinstance(found, Found)
    assert (HostPort("global.example", 9443),) == found.targets
    assert ("welcome", Fingerprint.of_digest(digest)) == (found.auth_key, found.ca_hash)
    assert "welcome" not in repr(found)


async def test_without_a_lease() -> None:
    """Both say why there are no options."""
    source = DhcpSource(lambda: "nobody offered an address")

    for found in (await source.find_vendor(), await source.find_global()):
        assert isinstance(found, Absent)
        assert ("no-lease", "nobody offered an address") == (found.reason, found.text)


async def test_what_cannot_be_used_hides_what_is_outside() -> None:
    """The value inside option 43 beats the one outside, also when it names nothing (D6)."""
    source = read([*GLOBAL, Option(Code.VENDOR_SPECIFIC, b"\xe0\x04\xc0\x00\x02\x0a")])
    found = await source.find_global()

    assert isinstance(found, Absent)
    assert "DWORD" in found.text


async def test_the_latest_counts() -> None:
    """A renewal may bring another address."""
    heard = [Option(Code.IGEL_SERVER, b"one.example")]
    source = read(heard)
    heard[0] = Option(Code.IGEL_SERVER, b"two.example")
    found = await source.find_global()

    assert isinstance(found, Found)
    assert "two.example" == found.targets[0].host
