# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.certificates."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from tests.certs.cuts import power_fails_after
from tests.certs.test_device_communication import WEAK
from umslab_certs.chain import parse_certificate
from umslab_certs.device_communication import read_pin
from umslab_certs.errors import CertificateError, Fault
from umslab_certs.keys import KeyType
from umslab_certs.pkcs7 import decode_certificates
from umslab_runtime.executor import InlineExecutor
from umslab_server.certificates import (
    Certificates,
    encode_issued,
    open_or_create,
    open_or_create_os11,
    standard_context,
)
from umslab_server.config import CertificatesConfig
from umslab_server.state_folder import StateFolder

from .parts import EPOCH, Endpoint, Office, unit_id
from .world import QUICK, open_world

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

NAMES = ["ums.lab", "localhost"]


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    """A state folder that exists."""
    (tmp_path / "state").mkdir()
    return StateFolder(tmp_path / "state")


def test_the_certificate_for_os11_is_made_once(folder: StateFolder) -> None:
    """G6: another one would lock every OS 11 device out."""
    made = open_or_create_os11(folder, KeyType.P256, EPOCH)
    opened = open_or_create_os11(folder, KeyType.RSA4096, EPOCH)

    assert made.certificate == opened.certificate
    assert opened.identity_file == folder.os11 / "tckey.pem"


async def test_a_weak_signature_is_told(holder: Certificates, folder: StateFolder) -> None:
    """G7, for the device-communication certificate; a server without OS 11 has none."""
    without = holder.notices()
    holder.communication = open_or_create_os11(folder, KeyType.P256, EPOCH)
    sound = holder.notices()
    holder.communication.certificate = read_pin(WEAK)

    assert [[], []] == [without, sound]
    assert ["MD5 or SHA-1" in notice for notice in holder.notices()] == [True]


@pytest.fixture
async def holder(folder: StateFolder, office: Office) -> Certificates:
    """The certificates of a server."""
    web, clients = open_or_create(folder, NAMES, QUICK, EPOCH)
    return Certificates(
        web,
        clients,
        names=NAMES,
        make_context=standard_context(minimum=ssl.TLSVersion.TLSv1_3, tickets=0, check_time=False),
        clock=office.clock,
        executor=InlineExecutor(),
        store=office.store,
    )


class TestOpenOrCreate:
    """A new folder gets what it lacks, an old one is opened."""

    def test_made_once(self, folder: StateFolder) -> None:
        """The second start finds the same root, leaf and client CA."""
        web, clients = open_or_create(folder, NAMES, QUICK, EPOCH)
        again_web, again_clients = open_or_create(folder, ["other"], CertificatesConfig(), EPOCH)

        assert again_web.chain == web.chain
        assert again_clients.certificates == clients.certificates

    def test_interrupted_first_start(self, folder: StateFolder) -> None:
        """A first start that was killed before the client CA was made goes on where it stopped."""
        web, _ = open_or_create(folder, NAMES, QUICK, EPOCH)
        (folder.est / "authority.pem").unlink()
        again_web, clients = open_or_create(folder, NAMES, QUICK, EPOCH)

        assert again_web.chain == web.chain
        assert len(clients.certificates) == 1

    def test_interrupted_switch(self, folder: StateFolder) -> None:
        """A switch that was cut off is finished at the start: the new root can renew."""
        web, _ = open_or_create(folder, NAMES, QUICK, EPOCH)
        old = web.root
        web.announce(NAMES, root_key_type=KeyType.P256, web_key_type=KeyType.P256, now=EPOCH)
        with power_fails_after(3):  # the record, the chain, the certificate
            web.switch(EPOCH)
        again, _ = open_or_create(folder, NAMES, QUICK, EPOCH)
        again.renew(names=NAMES, now=EPOCH)

        assert again.root != old
        assert again.previous[-1] == old
        assert again.successor is None

    @pytest.mark.parametrize("name", ["web/web.pem", "est/authority.pem"])
    def test_damaged(self, folder: StateFolder, name: str) -> None:
        """A damaged file is an error that names it, not a new root."""
        open_or_create(folder, NAMES, QUICK, EPOCH)
        (folder.path / name).write_bytes(b"damaged")

        with pytest.raises(CertificateError, match=name.partition("/")[0]):
            open_or_create(folder, NAMES, QUICK, EPOCH)


class TestHolder:
    """What the running server asks."""

    async def test_cacerts(self, holder: Certificates) -> None:
        """C30: the chain above the web certificate up to its root, and the client CA; not the leaf."""
        subjects = [one.subject.rfc4514_string() for one in decode_certificates(holder.ca_certificates())]

        assert len(subjects) == 2
        assert "CN=umslab lab root" in subjects[0]
        assert "CN=umslab lab EST client CA" in subjects[1]

    async def test_describe(self, holder: Certificates) -> None:
        """C20-C22: token, fingerprints in four parts, dates; nothing secret."""
        described = holder.describe()

        assert described["token"] == str(holder.token) == described["root"]["sha256_parts"][2]
        assert len(described["web"]["sha256_parts"]) == 4
        assert described["web"]["not_after"] == holder.web_expires().isoformat()
        assert described["chain_length"] == 2
        assert "PRIVATE" not in str(described)

    async def test_renew(self, holder: Certificates, office: Office) -> None:
        """A new leaf under the same root, a new context, the same cacerts; the feed says who did it."""
        before = (holder.context(), holder.ca_certificates(), holder.describe())
        await holder.renew(actor="ann")
        after = holder.describe()
        (event,) = await office.events()

        assert holder.context() is not before[0]
        assert holder.ca_certificates() == before[1]
        assert after["root"] == before[2]["root"]
        assert after["web"]["serial"] != before[2]["web"]["serial"]
        assert (event.kind, event.actor, event.data) == (
            "web-certificate-renewed",
            "ann",
            {"serial": after["web"]["serial"]},
        )

    async def test_renew_an_imported_chain(self, holder: Certificates, folder: StateFolder, office: Office) -> None:
        """Without the root's key there is nothing to renew with; everything stays as it was."""
        (folder.web / "root.key").unlink()
        before = holder.context()
        with pytest.raises(CertificateError) as caught:
            await holder.renew(actor="ann")

        assert caught.value.fault == Fault.INCOMPLETE
        assert holder.context() is before
        assert await office.events() == []

    async def test_announced_root(self, holder: Certificates) -> None:
        """It is shown, but neither presented nor answered by cacerts until the switch; then the context is another."""
        before = (holder.context(), holder.ca_certificates())
        await holder.announce_root(None, None)
        shown = holder.describe()["next_root"]
        announced = (holder.context(), holder.ca_certificates())
        await holder.switch_root()

        assert announced == before
        assert shown == holder.describe()["root"]
        assert holder.describe()["next_root"] is None
        assert holder.context() is not before[0]
        assert decode_certificates(holder.ca_certificates())[0] == holder.root

    async def test_client_cas(self, holder: Certificates) -> None:
        """Earlier ones are shown and answered by cacerts, each behind the one that issues."""
        first, context = holder.issuing, holder.context()
        await holder.renew_issuer(None)
        answered = decode_certificates(holder.ca_certificates())

        assert answered == [holder.root, holder.issuing, first]
        assert holder.authority().certificate == holder.issuing != first
        assert len(holder.describe()["earlier_client_cas"]) == 1
        assert holder.context() is not context

    @pytest.mark.parametrize("steps", range(12))
    async def test_half_a_switch(self, holder: Certificates, folder: StateFolder, steps: int) -> None:
        """When a disk error ends it in the middle, what is presented is what the files say."""
        await holder.announce_root(None, None)
        with power_fails_after(steps):
            await holder.switch_root()
        web, _ = open_or_create(folder, NAMES, QUICK, EPOCH)

        assert holder.root == web.root
        assert decode_certificates(holder.ca_certificates())[0] == web.root

    async def test_authority(self, holder: Certificates, office: Office) -> None:
        """Who issues for devices is the client CA, and an answer holds the issued certificate alone."""
        office.authority = holder.authority()
        issued = await office.enrol(Endpoint(1), await office.mass_key())

        assert decode_certificates(encode_issued(issued)) == [parse_certificate(issued)]
        parse_certificate(issued).verify_directly_issued_by(holder.authority().certificate)


async def test_renewed_while_running(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The next connection sees the new certificate and trusts it as before; the open session stays."""
    async with open_world(tmp_path) as world:
        await world.device()

        async def leaf() -> bytes | None:
            stream = await world.dial()
            certificate = stream.peer_certificate
            await stream.aclose()
            return certificate

        before = await leaf()
        await world.services.certificates.renew(actor="ann")
        after = await leaf()

        assert before is not None
        assert after is not None
        assert before != after
        assert world.services.presence.is_online(unit_id(1))
