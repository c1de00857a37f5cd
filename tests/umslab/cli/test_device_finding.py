# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab.cli.device_finding."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from umslab.cli import device_finding
from umslab.cli.device_finding import finding_of, own_mdns
from umslab.cli.output import UserError
from umslab.dhcp.found_leases import FoundLeases
from umslab.dhcp.samples import Sample
from umslab_agent.discovery import DEFAULT_SOURCES, Source
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.wire.dhcp_options import Option
from umslab_protocol.wire.igel_dhcp import ExtraCodes

if TYPE_CHECKING:
    from pathlib import Path

    from umslab.one_device import Finding

HERE = HostPort("ums.lab", 8443)


def find(
    target: HostPort | None = None,
    *,
    sources: str = "",
    lease: str = "",
    nameservers: tuple[str, ...] = (),
    mdns: tuple[str, ...] | None = None,
) -> Finding | None:
    """What is made of these words."""
    return finding_of(target, sources, lease, list(nameservers), [], own_lease=None, extra=ExtraCodes(), mdns=mdns)


def test_host_needs_no_finding() -> None:
    """It is where the UMS is, unless sources are named."""
    assert find(HERE) is None
    found = find(HERE, sources="stored,dns", nameservers=("127.0.0.1:5353",))
    assert found is not None
    assert (Source.STORED, Source.DNS) == tuple(found.sources)
    assert 1 == len(found.nameservers)


def test_without_host_the_usual_order() -> None:
    """And mDNS only when it is asked for."""
    found = find()
    assert found is not None
    assert (tuple(DEFAULT_SOURCES), False) == (tuple(found.sources), found.mdns)
    asked = find(mdns=("127.0.0.1",))
    assert asked is not None
    assert (True, ("127.0.0.1",)) == (asked.mdns, asked.mdns_on)


def test_options_of_a_lease_in_hexadecimal() -> None:
    """Are what the device has leased."""
    found = find(lease="e0 09 31 39 32 2e 30 2e 32 2e 31 ff")  # no whole packet: what a server puts into option 43
    assert found is not None
    assert found.lease is not None
    assert [(43, b"\xe0\x09192.0.2.1\xff")] == [(option.code, option.value) for option in found.lease]


def test_what_does_not_go_together() -> None:
    """Is said, and what to do."""
    with pytest.raises(UserError, match="with --sources it is one of several"):
        find(HERE, nameservers=("127.0.0.1",))
    with pytest.raises(UserError, match="--sources leaves it out"):
        find(sources="stored", mdns=())
    with pytest.raises(UserError, match="--dhcp-lease"):
        find(lease="/dev/null")


def test_where_mdns_is_asked_from() -> None:
    """Not at all, from where the machine likes, or from named addresses."""
    assert own_mdns(asked=False, named=None) is None
    assert () == own_mdns(asked=True, named=None)
    assert ("127.0.0.2",) == own_mdns(asked=False, named=["127.0.0.2"])
    with pytest.raises(ValueError, match="address"):
        own_mdns(asked=True, named=["nowhere"])


def test_lease_that_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`auto` takes the newest that a client of this machine left; without one it says so."""
    left = []
    for age, name in ((200, "old"), (100, "new")):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1_000_000 - age, 1_000_000 - age))
        left.append((tmp_path / name, Sample(name, (Option(224, name.encode()),))))
    monkeypatch.setattr(device_finding, "find_leases", lambda _: FoundLeases(left))
    found = find(lease="auto")
    assert found is not None
    assert (Option(224, b"new"),) == found.lease

    monkeypatch.setattr(device_finding, "find_leases", lambda _: FoundLeases([], ["/var/lib/dhcp: Permission denied"]))
    with pytest.raises(UserError, match="auto: /var/lib/dhcp: Permission denied"):
        find(lease="auto")
