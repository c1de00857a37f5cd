# SPDX-License-Identifier: Apache-2.0
"""A device's persona is kept, and what the user says anew wins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from umslab.one_device import DeviceOptions, Finding, dns_client, load_persona, open_world, release_delay
from umslab.settings import SettingsError
from umslab_agent.folder import DeviceFolder
from umslab_agent.trust import TrustMode
from umslab_protocol.values.firmware import FirmwareVersion
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.values.unit_id import UnitId
from umslab_runtime.dns import DnsNetwork
from umslab_runtime.policy import TargetPolicy, TargetRefusedError

if TYPE_CHECKING:
    from pathlib import Path


def _options(**said: object) -> DeviceOptions:
    return DeviceOptions(target=HostPort("localhost", 1), trust_mode=TrustMode(), **said)  # type: ignore[arg-type]


def test_a_new_device_is_made_up_once(tmp_path: Path) -> None:
    """The second start has the unit ID of the first."""
    folder = DeviceFolder(tmp_path)

    assert load_persona(folder, _options()) == load_persona(folder, _options())


def test_what_is_said_anew_is_kept(tmp_path: Path) -> None:
    """Firmware and structure tag change when they are given and stay when they are not."""
    folder = DeviceFolder(tmp_path)
    load_persona(folder, _options(firmware=FirmwareVersion(12, 2, 0), structure_tag="HQ"))

    kept = load_persona(folder, _options())
    changed = load_persona(folder, _options(firmware=FirmwareVersion(12, 9, 0)))

    assert (kept.firmware, kept.structure_tag) == ("12.2.0", "HQ")
    assert (changed.firmware, changed.structure_tag) == ("12.9.0", "HQ")


def test_a_folder_belongs_to_one_device(tmp_path: Path) -> None:
    """Another unit ID needs another folder."""
    folder = DeviceFolder(tmp_path)
    load_persona(folder, _options(unit_id=UnitId("02AAAAAAAAAA")))

    with pytest.raises(ValueError, match="02AAAAAAAAAA"):
        load_persona(folder, _options(unit_id=UnitId("02BBBBBBBBBB")))


def test_the_release_rule_begins_with_12_8_4() -> None:
    """L5: a day since 12.8.4, at once before."""
    assert release_delay(FirmwareVersion(12, 8, 4)) == 86_400
    assert release_delay(FirmwareVersion(12, 8, 3)) is None


async def test_unknown_codecs_and_owned_hosts_are_named() -> None:
    """Mistakes are told before anything starts."""
    with pytest.raises(SettingsError, match="xml"):
        async with open_world(session_codec="xml"):
            pass
    with pytest.raises(ValueError, match="--i-own"):
        async with open_world(owned_hosts=["no-such-host.invalid"]):
            pass


def test_name_servers_that_may_be_asked() -> None:
    """Those the user named, also outside the machine; public ones never."""
    near, far = HostPort("192.168.7.1", 53), HostPort("8.8.8.8", 53)
    client = dns_client(Finding(nameservers=(near, far), search=("lab.example",)), TargetPolicy())

    assert (near, far) == client.settings.nameservers
    assert ("lab.example",) == client.settings.search
    client._policy.check(near.host)
    with pytest.raises(TargetRefusedError):
        client._policy.check(far.host)


async def test_the_world_of_a_device_that_looks() -> None:
    """Its names go to the name servers the user named."""
    async with open_world(finding=Finding(nameservers=(HostPort("127.0.0.1", 5353),))) as world:
        assert isinstance(world.network, DnsNetwork)
        assert world.dns is not None
    async with open_world(finding=Finding()) as world:
        assert not isinstance(world.network, DnsNetwork)
    async with open_world() as world:
        assert world.dns is None
