# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.rotation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from tests.certs.cuts import power_fails_after
from tests.certs.pki import SERVER, make
from umslab_certs.chain import load_pem_certificates, to_pem
from umslab_certs.errors import CertificateError, Fault
from umslab_certs.keys import KeyType, key_to_pem
from umslab_certs.pkcs7 import decode_certificates
from umslab_certs.tls import pinned_context
from umslab_protocol.wire.messages import Roots
from umslab_runtime.dial_tls import dial_tls
from umslab_runtime.tls import TLSBrokenError, TLSError, TLSProblem
from umslab_server.rotation import NAMED_AT_MOST, RotationError, roots_digest

from .parts import EPOCH, YEAR, Endpoint, Office, open_office, unit_id
from .visits import Lead, Visit, lead_office, take_the_lead, visit
from .world import World, open_world

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cryptography.x509 import Certificate
    from trio.testing import MockClock

    from umslab_server.rotation import RotationView


UNKNOWN_CA = 48  # RFC 8446 section 6.2


@pytest.fixture
async def lead(office: Office, tmp_path: Path) -> Lead:
    """The services that lead the devices of the office."""
    return await lead_office(office, tmp_path)


async def announce(lead: Lead) -> RotationView:
    """Announce a root made here."""
    return await lead.rotation.announce(root_key=None, web_key=None, actor="ann")


def told(one: Visit) -> list[list[Certificate]]:
    """The roots a device was sent, message by message."""
    return [load_pem_certificates(message.pem.encode(), "roots") for message in one.heard(Roots)]


class TestAnnouncing:
    """Phase one."""

    async def test_fresh_installation(self, office: Office, lead: Lead) -> None:
        """Nothing is sent and nothing is asked as long as there never was a rotation."""
        one = await visit(office)
        view = await lead.rotation.view()

        assert told(one) == []
        assert (view.phase, view.active, view.acknowledged, view.behind) == ("none", 1, 0, [])

    async def test_connected_devices(self, office: Office, lead: Lead) -> None:
        """C36: they are told at once, and noted when they have acknowledged."""
        one, two = await visit(office, 1), await visit(office, 2)
        before = await announce(lead)
        await one.acknowledge()
        after = await lead.rotation.view()
        following = lead.certificates.next_root

        assert following is not None
        assert told(one) == told(two) == [[lead.certificates.root, following]]
        assert one.roots == roots_digest([following, lead.certificates.root])
        assert (before.phase, before.acknowledged, before.active) == ("announced", 0, 2)
        assert after.acknowledged == 1
        assert [(late.unit_id, late.online) for late in after.behind] == [(unit_id(2), True)]
        assert [(event.kind, event.actor) for event in await office.events("web-root-announced")] == [
            ("web-root-announced", "ann")
        ]

    async def test_devices_that_come_later(self, office: Office, lead: Lead) -> None:
        """They are told at their hello, once."""
        one = await visit(office)
        await one.leave()
        await announce(lead)
        await one.connect()
        await one.acknowledge()
        first = told(one)
        await one.connect()

        assert len(first) == 1
        assert told(one) == []

    async def test_keys(self, lead: Lead) -> None:
        """Without a wish the kinds of key stay; cacerts answers what TLS presents, not what is announced."""
        before = lead.certificates.ca_certificates()
        await lead.rotation.announce(root_key=KeyType.P384, web_key=None, actor="ann")
        following = lead.certificates.next_root

        assert following is not None
        assert following.public_key().key_size == 384  # type: ignore[union-attr]
        assert lead.certificates.ca_certificates() == before

    async def test_only_one(self, lead: Lead) -> None:
        """A second announcement is refused."""
        await announce(lead)
        with pytest.raises(CertificateError, match="announced already"):
            await announce(lead)

    async def test_company_chain(self, lead: Lead) -> None:
        """C8: it must cover the names that devices use."""
        root = make("company root", ca=True, end=EPOCH + 3 * YEAR)
        leaf = make("ums", root, names=["ums.lab"], purposes=[SERVER], begin=EPOCH, end=EPOCH + YEAR)
        root = make("company root", ca=True, begin=EPOCH, end=EPOCH + 3 * YEAR, key=root.key)
        chain, key = to_pem([leaf.certificate, root.certificate]), key_to_pem(leaf.key)
        with pytest.raises(CertificateError) as caught:
            await lead.rotation.announce_chain(chain, key, names=["other.lab"], actor="ann")
        view = await lead.rotation.announce_chain(chain, key, names=["ums.lab"], actor="ann")

        assert caught.value.fault == Fault.NAMES_DIFFER
        assert view.next_root is not None
        assert "company root" in view.next_root["subject"]

    async def test_cancel(self, office: Office, lead: Lead) -> None:
        """Devices are told to trust the current root only, and another one may be announced."""
        one = await visit(office)
        await announce(lead)
        await one.acknowledge()
        view = await lead.rotation.cancel(actor="ann")
        await one.acknowledge()

        assert told(one)[-1] == [lead.certificates.root]
        assert (view.phase, view.next_root) == ("cancelled", None)
        assert (await lead.rotation.view()).behind == []
        assert (await announce(lead)).phase == "announced"
        with pytest.raises(CertificateError, match="no new web root is announced"):
            await (await lead_cancelled(lead)).rotation.cancel(actor="ann")


async def lead_cancelled(lead: Lead) -> Lead:
    """Call the announced rotation off."""
    await lead.rotation.cancel(actor="ann")
    return lead


class TestSwitching:
    """Phase two."""

    async def test_all_acknowledged(self, office: Office, lead: Lead) -> None:
        """The next root is the current one, the old one is on record only, and devices are told to forget it."""
        one = await visit(office)
        await announce(lead)
        await one.acknowledge()
        old, new, context = lead.certificates.root, lead.certificates.next_root, lead.certificates.context()
        lost = await lead.rotation.switch(force=False, actor="ann")
        await one.acknowledge()
        view = await lead.rotation.view()

        assert lost == []
        assert (lead.certificates.root, lead.certificates.next_root) == (new, None)
        assert lead.certificates.previous_root == old
        assert lead.certificates.context() is not context
        assert new in decode_certificates(lead.certificates.ca_certificates())
        assert told(one)[-1] == [new]
        assert (view.phase, view.acknowledged, view.active, view.behind) == ("switched", 1, 1, [])

    async def test_somebody_is_missing(self, office: Office, lead: Lead) -> None:
        """It is refused, with the number that would fail and the names of some; nothing has changed."""
        for number in range(1, NAMED_AT_MOST + 3):
            await office.device(number)
        await announce(lead)
        with pytest.raises(RotationError) as caught:
            await lead.rotation.switch(force=False, actor="ann")

        assert f"{NAMED_AT_MOST + 2} active devices" in str(caught.value)
        assert "error 46" in str(caught.value)
        assert "and 2 more" in str(caught.value)
        assert "--force" in str(caught.value)
        assert lead.certificates.next_root is not None
        assert await office.events("web-root-switched") == []

    async def test_force(self, office: Office, lead: Lead) -> None:
        """Those who will fail are listed and noted, each with the reason; then they come on board again."""
        one, two = await visit(office, 1), await visit(office, 2)
        await two.leave()
        await announce(lead)
        await one.acknowledge()
        lost = await lead.rotation.switch(force=True, actor="ann")
        (missed,) = await office.events("web-root-missed")
        (switched,) = await office.events("web-root-switched")
        await two.connect()  # as it does after it came on board again
        await two.acknowledge()

        assert [(late.unit_id, late.online) for late in lost] == [(unit_id(2), False)]
        assert (missed.unit_id, "46" in missed.cause) == (unit_id(2), True)
        assert switched.data["lost"] == 1
        assert told(two) == [[lead.certificates.root]]

    async def test_who_does_not_count(self, office: Office, lead: Lead) -> None:
        """Devices in the bin, revoked ones and those that never registered hold nothing up."""
        await office.device(1)
        await office.device(2)
        await office.registry.delete(unit_id(1), actor="ann")
        await office.registry.revoke(unit_id(2), actor="ann", reason="stolen")
        await announce(lead)

        assert await lead.rotation.switch(force=False, actor="ann") == []

    async def test_reset_device(self, office: Office, lead: Lead) -> None:
        """A device that comes on board again holds nothing until it says so, whatever it had acknowledged before."""
        one = await visit(office)
        await announce(lead)
        await one.acknowledge()
        await one.leave()
        await office.enrol(Endpoint(1), await office.mass_key())
        with pytest.raises(RotationError, match=unit_id(1)):
            await lead.rotation.switch(force=False, actor="ann")

    async def test_nothing_announced(self, office: Office, lead: Lead) -> None:
        """There is nothing to switch to, whoever is missing."""
        await office.device(1)
        with pytest.raises(CertificateError, match="no new web root is announced"):
            await lead.rotation.switch(force=False, actor="ann")

    async def test_announced_too_long_ago(self, office: Office, lead: Lead, autojump_clock: MockClock) -> None:
        """A web certificate that is over is not switched to."""
        await announce(lead)
        await trio.sleep(400 * 86_400)
        with pytest.raises(CertificateError, match="expired"):
            await lead.rotation.switch(force=True, actor="ann")

    async def test_second_rotation(self, office: Office, lead: Lead) -> None:
        """One after the other, as often as wanted."""
        one = await visit(office)
        roots = {lead.certificates.root}
        for _ in range(3):
            await announce(lead)
            await one.acknowledge()
            await lead.rotation.switch(force=False, actor="ann")
            await one.acknowledge()
            roots.add(lead.certificates.root)

        assert len(roots) == 4
        assert len(await office.events("web-root-switched")) == 3


class TestRestarts:
    """The phase is what the files say, and the feed is completed."""

    async def test_in_every_phase(self, tmp_path: Path) -> None:
        """A restart changes nothing: devices that acknowledged are asked nothing, others are."""
        expected = ["none", "announced", "switched"]
        for phase in expected:
            async with open_office(tmp_path) as office:
                lead = await lead_office(office, tmp_path)
                if phase == "announced":
                    await announce(lead)
                if phase == "switched":
                    await lead.rotation.switch(force=True, actor="ann")
            async with open_office(tmp_path) as office:
                lead = await lead_office(office, tmp_path)
                one = await visit(office, 1 + expected.index(phase))

                assert (await lead.rotation.view()).phase == phase
                assert len(told(one)) == (0 if phase == "none" else 1)
                assert not [event for event in await office.events() if event.cause == "found at the start"]

    @pytest.mark.parametrize("step", ["announce", "switch", "cancel"])
    async def test_killed_after_any_step(self, tmp_path: Path, step: str) -> None:
        """The old phase or the new one; in the new one the event is there too, and the rotation goes on."""
        phases = []
        for cut in range(20):
            path = tmp_path / str(cut)
            path.mkdir()
            async with open_office(path) as office:
                lead = await lead_office(office, path)
                if step != "announce":
                    await announce(lead)
                with power_fails_after(cut) as done:
                    if step == "announce":
                        await announce(lead)
                    elif step == "switch":
                        await lead.rotation.switch(force=True, actor="ann")
                    else:
                        await lead.rotation.cancel(actor="ann")
            async with open_office(path) as office:
                lead = await lead_office(office, path)
                phase = (await lead.rotation.view()).phase
                phases.append(phase)

                assert bool(lead.certificates.next_root) == (phase == "announced")
                assert [event.kind for event in await office.events()][-1:] == (
                    [] if phase == "none" else [f"web-root-{phase}"]
                )
                if phase != "announced":
                    await announce(lead)
                await lead.rotation.switch(force=False, actor="ann")
                await lead.certificates.renew(actor="ann")
            if "cut" not in done:
                break
        last = {"announce": "announced", "switch": "switched", "cancel": "cancelled"}[step]

        assert set(phases) == {"none" if step == "announce" else "announced", last}
        assert phases[-1] == last

    async def test_killed_before_the_event(self, tmp_path: Path) -> None:
        """The files had changed, the registry had not: the next start tells it."""
        async with open_office(tmp_path) as office:
            lead = await lead_office(office, tmp_path)
            await lead.certificates.announce_root(None, None)
        async with open_office(tmp_path) as office:
            lead = await lead_office(office, tmp_path)
            await lead.certificates.switch_root()
        async with open_office(tmp_path) as office:
            await lead_office(office, tmp_path)

            assert [(event.kind, event.actor, event.cause) for event in await office.events()] == [
                ("web-root-announced", "server", "found at the start"),
                ("web-root-switched", "server", "found at the start"),
            ]


async def test_several_phases_unseen(office: Office, lead: Lead) -> None:
    """A registry that could not be written when the root was announced still learns of the switch."""
    await lead.certificates.announce_root(None, None)
    await lead.rotation.switch(force=True, actor="ann")

    assert [event.kind for event in await office.events()] == ["web-root-switched"]


async def lead_world(world: World) -> Lead:
    """Lead the devices of a whole server."""
    services = world.services
    clock = services.certificates._clock
    return await take_the_lead(
        services.certificates, services.store, services.presence, services.sessions, clock, chosen=False
    )


async def handshake(world: World, pins: Sequence[Certificate]) -> str:
    """How the handshake of a device goes that trusts these roots."""
    try:
        stream = await dial_tls(world.network, world.target, pinned_context(pins, check_time=False), within=30.0)
    except TLSError as error:
        return error.problem
    await stream.aclose()
    return "good"


async def test_pins_over_the_switch(tmp_path: Path, autojump_clock: MockClock) -> None:
    """V2: {old, new} passes before and after; {old} fails after with an untrusted root, which is error 46."""
    async with open_world(tmp_path) as world:
        lead = await lead_world(world)
        endpoint, certificate, line = await world.device()
        old = lead.certificates.root
        await announce(lead)
        message = await line.next()
        assert isinstance(message, Roots)
        pins = load_pem_certificates(message.pem.encode(), "roots")
        before = [await handshake(world, trusted) for trusted in (pins, [old], pins[1:])]
        await lead.rotation.switch(force=True, actor="ann")
        after = [await handshake(world, trusted) for trusted in (pins, [old], pins[1:])]

        assert pins[0] == old
        assert before == ["good", "good", TLSProblem.UNTRUSTED]
        assert after == ["good", TLSProblem.UNTRUSTED, "good"]
        assert world.services.presence.is_online(endpoint.unit_id)  # open sessions stay
        assert isinstance(await line.next(), Roots)
        await line.hang_up()
        await (await world.session(endpoint, certificate)).hang_up()  # it trusts root.pem, which is the new one


async def test_client_ca_change(tmp_path: Path, autojump_clock: MockClock) -> None:
    """V7: certificates of the earlier client CA open ws-connect and renew, until it is retired."""
    async with open_world(tmp_path) as world:
        lead = await lead_world(world)
        endpoint, certificate, line = await world.device(1)
        first = lead.certificates.issuing
        await lead.client_cas.renew(key_type=KeyType.P256, actor="ann")
        await line.hang_up()
        old = await world.session(endpoint, certificate)
        newcomer = Endpoint(2)
        issued = await world.certificate(newcomer)
        new = await world.session(newcomer, issued)

        assert {world.services.presence.is_online(unit_id(number)) for number in (1, 2)} == {True}
        await old.hang_up()
        await new.hang_up()
        await lead.certificates.retire_issuer(first)
        with pytest.raises(TLSBrokenError) as caught:
            await world.session(endpoint, certificate)
        assert caught.value.tls.alert == UNKNOWN_CA
        await (await world.session(newcomer, issued)).hang_up()
