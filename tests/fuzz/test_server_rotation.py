# SPDX-License-Identifier: Apache-2.0
"""Whatever is done in whatever order, with the power failing anywhere: no switch without force strands a device."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.certs.cuts import power_fails_after
from tests.server.parts import Office, open_office
from tests.server.visits import Lead, Visit, lead_office, visit
from umslab_certs.chain import fingerprint, load_pem_certificates
from umslab_certs.errors import CertificateError
from umslab_protocol.wire.messages import Roots
from umslab_server.errors import RefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.x509 import Certificate

DEVICES = 3
STEPS = 25


class Fleet:
    """Devices that pin what they are told, over restarts of the server."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.visits: list[Visit] = []
        self.pins: dict[str, set[Certificate]] = {}
        self.here: set[str] = set()

    async def found(self, office: Office, lead: Lead) -> None:
        """Bring the devices on board for the first time."""
        self.visits = [await visit(office, number) for number in range(1, DEVICES + 1)]
        self.pins = {one.unit_id: {lead.certificates.root} for one in self.visits}
        self.here = set(self.pins)

    async def come_or_go(self, office: Office, lead: Lead) -> None:
        """One device leaves, or connects: where it does not trust the server any more it comes on board again."""
        one = self.chance.choice(self.visits)
        one.office = office
        if one.unit_id in self.here and self.chance.random() < 0.5:
            await one.leave()
            self.here.discard(one.unit_id)
            return
        if lead.certificates.root not in self.pins[one.unit_id]:
            one.roots, self.pins[one.unit_id] = "", {lead.certificates.root}
        await one.connect()
        self.here.add(one.unit_id)

    async def acknowledge(self, office: Office, lead: Lead) -> None:
        """One device that is here keeps what it was told, and says so, unless the answer is lost."""
        del office, lead
        present = [one for one in self.visits if one.unit_id in self.here]
        if not present:
            return
        one = self.chance.choice(present)
        for message in one.heard(Roots):
            self.pins[one.unit_id] = set(load_pem_certificates(message.pem.encode(), "roots"))
            one.roots = message.digest
        if self.chance.random() < 0.8:
            await one.acknowledge()
        else:
            await one.leave()
            self.here.discard(one.unit_id)


async def change(lead: Lead, chance: random.Random, fleet: Fleet) -> None:
    """One thing an administrator does, sensible or not."""
    rotation, cas = lead.rotation, lead.client_cas
    what = chance.choice(["announce", "switch", "force", "cancel", "renew", "new-ca", "retire"])
    with suppress(RefusedError, CertificateError):
        if what == "announce":
            await rotation.announce(root_key=None, web_key=None, actor="fuzz")
        elif what == "switch":
            following = lead.certificates.next_root
            await rotation.switch(force=False, actor="fuzz")
            assert all(following in pins for pins in fleet.pins.values())
        elif what == "force":
            await rotation.switch(force=True, actor="fuzz")
        elif what == "cancel":
            await rotation.cancel(actor="fuzz")
        elif what == "renew":
            await lead.certificates.renew(actor="fuzz")
        elif what == "new-ca":
            await cas.renew(key_type=None, actor="fuzz")
        elif lead.certificates.earlier_issuers:
            found = chance.choice(lead.certificates.earlier_issuers)
            await cas.retire(fingerprint(found).parts[0], force=False, actor="fuzz")


async def live(path: Path, chance: random.Random, fleet: Fleet, steps: int) -> int:
    """One life of the server, to its end or to a power cut; returns how many steps are left."""
    async with open_office(path) as office:
        lead = await lead_office(office, path)
        if not fleet.visits:
            await fleet.found(office, lead)
        fleet.here.clear()
        while steps:
            steps -= 1
            move = chance.choice(["come or go", "come or go", "acknowledge", "acknowledge", "change", "cut"])
            if move == "come or go":
                await fleet.come_or_go(office, lead)
            elif move == "acknowledge":
                await fleet.acknowledge(office, lead)
            elif move == "change":
                await change(lead, chance, fleet)
            else:
                with power_fails_after(chance.randrange(8)) as done:
                    await change(lead, chance, fleet)
                if "cut" in done:
                    return steps
    return 0


@pytest.mark.parametrize("seed", range(12))
async def test_any_order(tmp_path: Path, seed: int) -> None:
    """In the end every device that comes and answers trusts the current root, and the files tell one phase."""
    chance = random.Random(seed)
    fleet = Fleet(chance)
    steps = STEPS
    while steps:
        steps = await live(tmp_path, chance, fleet, steps)
    async with open_office(tmp_path) as office:
        lead = await lead_office(office, tmp_path)
        for one in fleet.visits:
            one.office = office
            await one.connect()
            for message in one.heard(Roots):
                fleet.pins[one.unit_id] = set(load_pem_certificates(message.pem.encode(), "roots"))
            await one.acknowledge()
        view = await lead.rotation.view()

        assert view.behind == []
        assert (view.next_root is not None) == (view.phase == "announced")
        if view.phase != "none":
            assert {lead.certificates.root in pins for pins in fleet.pins.values()} == {True}
