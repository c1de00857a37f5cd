# SPDX-License-Identifier: Apache-2.0
"""Stories of devices that find their UMS: order, what is told, wrong servers, automatic registration, resets."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_pem_x509_certificate

from tests.protocol.machines.dhcp_server import TinyServer
from tests.runtime.dhcp_servers import RELAY, MemoryServer, relayed
from tests.support.lab import SERVER, Lab, LabDevice, open_lab, quick_config
from tests.support.managing import ask, show, switch_off
from umslab_agent.behaviour import DeviceBehaviour
from umslab_agent.dhcp import Addressing, DeviceDhcp
from umslab_agent.dhcp_source import DhcpSource
from umslab_agent.discovery import DEFAULT_SOURCES, Absent, Discovery, Found, Source, command_line, parse_sources
from umslab_agent.trust import TrustMode
from umslab_protocol.errors import InvalidValueError
from umslab_protocol.machines.device_life import State
from umslab_protocol.machines.retrying import RetryPolicy
from umslab_protocol.values.failure import Phase, Reason
from umslab_protocol.values.fingerprint import Fingerprint
from umslab_protocol.values.firmware import FirmwareVersion
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.values.unit_id import UnitId
from umslab_protocol.wire.dhcp import MessageType
from umslab_protocol.wire.dhcp_options import Option
from umslab_protocol.wire.orders import CommandName
from umslab_runtime.clock import SkewedClock
from umslab_runtime.dhcp_runner import open_runner
from umslab_runtime.net_memory import MemoryNetwork
from umslab_server.config import EnrolmentConfig, ServerConfig
from umslab_server.importing import ImportedDevice

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trio.testing import MockClock

    from umslab_agent.discovery import Finder

NOWHERE = HostPort("nowhere.lab", 8443)


def automatic() -> ServerConfig:
    """A server with the switch on."""
    return msgspec.structs.replace(quick_config(), enrolment=EnrolmentConfig(automatic=True))


def says(source: Source, *targets: HostPort, **more: object) -> Finder:
    """A source that knows these addresses."""

    async def find() -> Found | Absent:
        if not targets:
            return Absent(source=source, reason="no-such-name", text="nothing there")
        return Found(source=source, targets=targets, why="a test says so", **more)  # type: ignore[arg-type]

    return find


def discovery(
    finders: dict[Source, Finder],
    *,
    order: Sequence[Source] = DEFAULT_SOURCES,
    trust: TrustMode | None = None,
    key: str | None = None,
    tag: str = "",
) -> Discovery:
    """What a device looks with."""
    return Discovery(order, finders, trust_mode=trust or TrustMode(), auth_key=key, structure_tag=tag)


def decisions(device: LabDevice) -> list[tuple[str, str]]:
    """Source and reason of all that discovery told."""
    told = [happening for happening in device.happenings if happening.kind == "discovery"]
    return [(str(one.data["source"]), str(one.data["reason"])) for one in told]


async def test_automatic_registration(tmp_path: Path, autojump_clock: MockClock) -> None:
    """With nothing but an A record a device is managed, and every decision is told (A2, O3)."""
    async with open_lab(tmp_path, config=automatic()) as lab:
        device = lab.device("one", discovery=discovery({Source.DNS: says(Source.DNS, lab.target)}))
        await device.until_managed()

        assert decisions(device) == [
            ("stored", "not-registered"),
            ("dhcp43", "not-given"),
            ("dhcp224", "not-given"),
            ("dns", "found"),
            ("dns", "trust-first-use"),
            ("dns", "taken"),
        ]


async def test_the_stored_address_wins(tmp_path: Path, autojump_clock: MockClock) -> None:
    """After registration the device goes where it is registered, whatever DNS says now (W9)."""
    async with open_lab(tmp_path, config=automatic()) as lab:
        device = lab.device("one", discovery=discovery({Source.DNS: says(Source.DNS, lab.target)}))
        await device.until_managed()
        await switch_off(device)
        again = lab.device("one", discovery=discovery({Source.DNS: says(Source.DNS, NOWHERE)}))
        await again.until_managed()

        assert [("stored", "found")] == decisions(again)


async def test_without_the_stored_address(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A user can leave that source out; the connectors the device knows are asked all the same (W5)."""
    async with open_lab(tmp_path, config=automatic()) as lab:
        order = [Source.DNS, Source.COMMAND_LINE]
        finders = {Source.DNS: says(Source.DNS), Source.COMMAND_LINE: command_line(lab.target)}
        device = lab.device("one", discovery=discovery(finders, order=order))
        await device.until_managed()
        await switch_off(device)
        again = lab.device("one", discovery=discovery(finders, order=order))
        await again.until_managed()

        assert [("dns", "no-such-name"), ("command-line", "found")] == decisions(again)


async def test_wrong_servers_are_left_behind(tmp_path: Path, autojump_clock: MockClock) -> None:
    """An address where nobody is, and a source that points elsewhere, do not keep the device away (D13)."""
    async with open_lab(tmp_path, config=automatic()) as lab:
        other = HostPort(SERVER, 1)
        finders = {
            Source.DHCP43: says(Source.DHCP43, NOWHERE),
            Source.DHCP224: says(Source.DHCP224, lab.target, ca_hash=Fingerprint.of_digest(bytes(32))),
            Source.DNS: says(Source.DNS, other, lab.target),
        }
        device = lab.device("one", discovery=discovery(finders))
        await device.until_managed()

        reasons = decisions(device)
        assert ("dhcp43", "name-unknown") in reasons
        assert ("dhcp224", "points-elsewhere") in reasons
        assert ("dns", "unreachable") in reasons
        assert ("dns", "taken") == reasons[-1]


async def test_reconnecting_asks_all_addresses(tmp_path: Path, autojump_clock: MockClock) -> None:
    """All of the source, in order, also when the certificate is to be renewed; what was asked in vain is told (D13)."""
    async with open_lab(tmp_path, config=automatic()) as lab:
        dead, order = HostPort(SERVER, 1), [Source.DNS]
        firmware = FirmwareVersion(12, 5, 0)  # remembers no addresses by itself (W8)
        first = discovery({Source.DNS: says(Source.DNS, lab.target)}, order=order)
        device = lab.device("one", firmware=firmware, discovery=first)
        await device.until_managed()
        await switch_off(device)

        both = discovery({Source.DNS: says(Source.DNS, NOWHERE, dead, lab.target)}, order=order)
        again = lab.device("one", firmware=firmware, discovery=both)
        await again.until_managed()
        assert [("dns", "found")] == decisions(again)
        assert not any(change.state is State.WAITING for change in again.changes)
        await switch_off(again)

        nobody = discovery({Source.DNS: says(Source.DNS, NOWHERE, dead)}, order=order)
        lost = lab.device("one", firmware=firmware, discovery=nobody, policy=RetryPolicy(connection=False))
        await lost.over.wait()
        assert [("dns", "found"), ("dns", "name-unknown"), ("dns", "unreachable")] == decisions(lost)

        clock = SkewedClock(lab.clock, timedelta(days=340))
        renewing = lab.device("one", firmware=firmware, discovery=both, clock=clock)
        await renewing.until_managed()
        assert State.RENEWING in {change.state for change in renewing.changes}
        assert 2 == len((await show(lab, renewing)).certificates)


async def test_lease_goes_along_with_the_device(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Leased before anything is looked for, kept over a reboot, given back when the device is shut down."""
    async with open_lab(tmp_path, config=automatic()) as lab:
        options = (Option(224, str(lab.target).encode()),)
        server = MemoryServer(TinyServer(options=options))
        door = await relayed(MemoryNetwork(), lab.nursery, server)
        async with open_runner(door, lab.clock, chance=lambda: 0.5) as runner:
            client = DeviceDhcp(runner, Addressing(relay=RELAY))
            source = DhcpSource(client.heard)
            finders = {Source.DHCP43: source.find_vendor, Source.DHCP224: source.find_global}
            looking = Discovery(DEFAULT_SOURCES, finders, trust_mode=TrustMode(), auth_key=None, dhcp=client)
            device = lab.device("one", discovery=looking)
            await device.until_managed()
            told = [(one.kind, one.data["reason"]) for one in device.happenings if "reason" in one.data]
            assert [("dhcp", "leased"), ("discovery", "not-registered"), ("discovery", "no-option")] == told[:3]
            assert ("discovery", "taken") == told[-1]

            before = len(device.changes)
            await ask(lab, device, CommandName.REBOOT)
            while not any(change.managed for change in device.changes[before + 3 :]):
                await device.moved.wait()
            assert 1 == len(server.tiny.leases)
            assert 1 == sum(message.kind is MessageType.DISCOVER for message in server.tiny.heard)

            await switch_off(device)
            await lab.clock.sleep(1)
            assert {} == server.tiny.leases
            assert "released" in {one.data.get("reason") for one in device.happenings if one.kind == "dhcp"}


async def test_nothing_found(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The failure says what each source said."""
    async with open_lab(tmp_path) as lab:
        device = lab.device("one", discovery=discovery({Source.DNS: says(Source.DNS)}))
        await device.over.wait()

        failure = device.device.failure
        assert State.FAILED is device.ended
        assert failure is not None
        assert (Phase.RESOLVE, Reason.NAME_UNKNOWN, 37) == (failure.phase, failure.reason, failure.vendor_code)
        assert "dns: nothing there" in failure.detail


async def test_off(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The device shows why; once it was imported it registers (A1, A3)."""
    async with open_lab(tmp_path) as lab:
        found = {Source.DNS: says(Source.DNS, lab.target)}
        device = lab.device("one", discovery=discovery(found))
        await device.over.wait()
        failure = device.device.failure
        assert failure is not None
        assert (Phase.ENROL, Reason.ENROL_REFUSED) == (failure.phase, failure.reason)
        assert "automatic registration is off" in failure.detail

        unit_id = UnitId(device.device.persona.unit_id)
        await lab.services.registry.import_devices([ImportedDevice(unit_id=unit_id)], actor="test")
        again = lab.device("one", discovery=discovery(found))
        await again.until_managed()


async def test_factory_reset(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A device that was reset registers again at its next boot at once (A2)."""
    async with open_lab(tmp_path, config=automatic()) as lab:
        device = lab.device(
            "one",
            discovery=discovery({Source.DNS: says(Source.DNS, lab.target)}),
            behaviour=DeviceBehaviour(after_reset="onboard"),
        )
        await device.until_managed()
        before = len(device.changes)
        await ask(lab, device, CommandName.FACTORY_RESET)
        while not any(change.managed for change in device.changes[before + 3 :]):
            await device.moved.wait()

        assert ["taken", "taken"] == [reason for _, reason in decisions(device) if reason == "taken"]
        events = await lab.services.store.events(0, limit=1_000)
        assert 2 == len([event for event in events if event.kind == "device-enrolled"])


async def test_key_hash_and_tag_of_a_source(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A key that came with a CA hash is used; a key alone is not shown to just anybody (D11, C35)."""
    async with open_lab(tmp_path) as lab:
        key = await lab.mass_key()
        root = Fingerprint.of_digest(_root_digest(lab))
        alone = lab.device("one", discovery=discovery({Source.DHCP224: says(Source.DHCP224, lab.target, auth_key=key)}))
        await alone.over.wait()
        assert alone.device.failure is not None
        assert Reason.PIN_MISMATCH is alone.device.failure.reason

        told = says(Source.DHCP224, lab.target, auth_key=key, ca_hash=root, structure_tag="HQ")
        device = lab.device("two", discovery=discovery({Source.DHCP224: told}))
        await device.until_managed()
        assert "HQ" == (await show(lab, device)).structure_tag
        own = lab.device(
            "three",
            structure_tag="MINE",
            discovery=discovery({Source.DHCP224: told}, trust=lab.token_mode(), tag="MINE"),
        )
        await own.until_managed()
        assert "MINE" == (await show(lab, own)).structure_tag
        assert not any("trust-first-use" == reason for _, reason in decisions(device) + decisions(own))


def _root_digest(lab: Lab) -> bytes:
    return load_pem_x509_certificate(lab.ready.root.read_bytes()).fingerprint(SHA256())


def test_sources_as_users_write_them() -> None:
    """Each once, none unknown."""
    assert (Source.DNS, Source.STORED) == parse_sources("dns, stored")
    for text in ("", "dns,dns", "smoke-signals"):
        with pytest.raises(InvalidValueError):
            parse_sources(text)
