# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.client_cas; what TLS makes of it: test_rotation.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.certs.cuts import power_fails_after
from tests.certs.pki import make
from umslab_certs.chain import fingerprint, parse_certificate, to_pem
from umslab_certs.errors import CertificateError
from umslab_certs.keys import KeyType, key_to_pem
from umslab_certs.pkcs7 import decode_certificates
from umslab_protocol.wire.close_codes import CloseCode, Refusal
from umslab_server.client_cas import NAMED_AT_MOST, RETIRED, ClientCaError
from umslab_server.enrolment import Issued
from umslab_server.sessions import NotAdmitted
from umslab_server.why import Why

from .parts import EPOCH, HERE, YEAR, Endpoint, Office, open_office, unit_id
from .visits import Lead, lead_office, visit

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
async def lead(office: Office, tmp_path: Path) -> Lead:
    """The services that lead the devices of the office, whose client CA issues there."""
    return await lead_office(office, tmp_path)


async def new_ca(lead: Lead) -> None:
    """Make another client CA."""
    await lead.client_cas.renew(key_type=None, actor="ann")


async def test_new_one_issues(office: Office, lead: Lead) -> None:
    """V7: enrolments and renewals are answered by the new one, certificates of the old one are renewed."""
    device = Endpoint(1)
    first = lead.certificates.issuing
    certificate = await office.enrol(device, await office.mass_key())
    await office.use(certificate)
    await new_ca(lead)
    second = lead.certificates.issuing
    renewed = await office.enrolment.renew(device.another_request(), certificate, HERE)
    await office.use(certificate)

    assert first != second
    assert isinstance(renewed, Issued)
    parse_certificate(renewed.certificate).verify_directly_issued_by(second)
    assert {first, second} < set(decode_certificates(lead.certificates.ca_certificates()))
    assert [(event.kind, event.actor) for event in await office.events("client-ca-changed")] == [
        ("client-ca-changed", "ann")
    ]


async def test_view(office: Office, lead: Lead) -> None:
    """Each with the devices that need it."""
    await office.device(1)
    await office.device(2)
    await lead.client_cas.renew(key_type=KeyType.P384, actor="ann")
    await office.device(3)
    view = await lead.client_cas.view()

    assert [(one.issues, one.devices) for one in view] == [(True, 1), (False, 2)]
    assert [len(one.ca["sha256_parts"]) for one in view] == [4, 4]


async def test_import(office: Office, lead: Lead) -> None:
    """An authority from elsewhere issues; what is none is refused."""
    company = make("company devices", ca=True, begin=EPOCH, end=EPOCH + 2 * YEAR)
    stranger = make("no CA", begin=EPOCH, end=EPOCH + 2 * YEAR)
    for pair in (stranger, company):
        files = to_pem([pair.certificate]), key_to_pem(pair.key)
        if pair is stranger:
            with pytest.raises(CertificateError, match="not a CA"):
                await lead.client_cas.import_authority(*files, actor="ann")
        else:
            await lead.client_cas.import_authority(*files, actor="ann")

    issued = await office.device(1)
    parse_certificate(issued).verify_directly_issued_by(company.certificate)
    assert len(await office.events("client-ca-changed")) == 1


async def test_retire(office: Office, lead: Lead) -> None:
    """When nobody needs it, it goes, and the feed says so."""
    first = lead.certificates.issuing
    await new_ca(lead)
    locked_out = await lead.client_cas.retire(str(fingerprint(first)), force=False, actor="ann")
    (event,) = await office.events("client-ca-retired")

    assert locked_out == []
    assert lead.certificates.earlier_issuers == ()
    assert first not in decode_certificates(lead.certificates.ca_certificates())
    assert event.data == {"retired": fingerprint(first).digits, "locked_out": 0}


async def test_still_needed(office: Office, lead: Lead) -> None:
    """It is refused with the number and some names; revoked certificates and other CAs' devices do not count."""
    first = lead.certificates.issuing
    for number in range(1, NAMED_AT_MOST + 4):
        await office.device(number)
    await office.registry.revoke(unit_id(1), actor="ann", reason="stolen")
    await new_ca(lead)
    await office.device(100)
    part = fingerprint(first).parts[2]
    with pytest.raises(ClientCaError) as caught:
        await lead.client_cas.retire(part, force=False, actor="ann")
    before = lead.certificates.earlier_issuers
    locked_out = await lead.client_cas.retire(part, force=True, actor="ann")

    assert f"{NAMED_AT_MOST + 2} devices" in str(caught.value)
    assert "and 2 more" in str(caught.value)
    assert before == (first,)
    assert locked_out == [unit_id(number) for number in range(2, NAMED_AT_MOST + 4)]
    assert lead.certificates.earlier_issuers == ()


async def test_locked_out(office: Office, lead: Lead) -> None:
    """Forced, it ends the sessions of its devices alone, and the registry knows why they cannot come back."""
    old = await visit(office, 1)
    await new_ca(lead)
    new = await visit(office, 2)
    (issuer,) = lead.certificates.earlier_issuers
    locked_out = await lead.client_cas.retire(str(fingerprint(issuer)), force=True, actor="ann")
    refused = await office.admit(old.certificate)
    told = await Why(office.store, office.presence, clock=office.clock).explain(unit_id(1))
    (event,) = await office.events("client-ca-retired")

    assert locked_out == [unit_id(1)]
    assert event.data["locked_out"] == 1
    assert [code for code, _ in old.pump.closes] == [CloseCode.REFUSED]
    assert new.pump.closes == []
    assert isinstance(refused, NotAdmitted)
    assert refused.refusal is Refusal.REVOKED
    assert f": {RETIRED}." in "\n".join(told)


async def test_locked_out_by_what_a_power_cut_left(tmp_path: Path) -> None:
    """Retired in the files alone: the next start revokes and tells."""
    async with open_office(tmp_path) as office:
        lead = await lead_office(office, tmp_path)
        await office.device(1)
        await new_ca(lead)
        (issuer,) = lead.certificates.earlier_issuers
        await lead.certificates.retire_issuer(issuer)
    async with open_office(tmp_path) as office:
        await lead_office(office, tmp_path)
        (event,) = await office.events("client-ca-retired")

        assert event.data["locked_out"] == 1
        assert await office.certificate_states(1) == ["revoked"]


async def test_files_that_were_exchanged(tmp_path: Path) -> None:
    """Certificates of an authority whose files are gone are refused, but not revoked: the files may come back."""
    async with open_office(tmp_path) as office:
        lead = await lead_office(office, tmp_path)
        await office.device(1)
        first = lead.certificates.issuing
        (tmp_path / "est").rename(tmp_path / "mislaid")
    async with open_office(tmp_path) as office:
        lead = await lead_office(office, tmp_path)

        assert lead.certificates.issuing != first
        assert len(await office.events("client-ca-retired")) == 1
        assert await office.certificate_states(1) == ["active"]


async def test_the_one_that_issues(lead: Lead) -> None:
    """It cannot be retired, nor can one that is not there."""
    for name in (fingerprint(lead.certificates.issuing).parts[0], "0123456789ABCDEF", "nonsense"):
        with pytest.raises(CertificateError):
            await lead.client_cas.retire(name, force=True, actor="ann")


async def test_restart(tmp_path: Path) -> None:
    """Earlier ones are still accepted, and nothing is told twice."""
    async with open_office(tmp_path) as office:
        lead = await lead_office(office, tmp_path)
        for _ in range(3):
            await new_ca(lead)
        before = set(lead.certificates.earlier_issuers)
    async with open_office(tmp_path) as office:
        lead = await lead_office(office, tmp_path)

        assert set(lead.certificates.earlier_issuers) == before
        assert len(await office.events("client-ca-changed", "client-ca-retired")) == 3


async def test_killed_after_any_step(tmp_path: Path) -> None:
    """The old one or the new one issues, both are accepted, and a change that happened is in the feed."""
    changed = []
    for cut in range(9):
        path = tmp_path / str(cut)
        path.mkdir()
        async with open_office(path) as office:
            lead = await lead_office(office, path)
            first = lead.certificates.issuing
            certificate = await office.device(1)
            with power_fails_after(cut) as done:
                await new_ca(lead)
        async with open_office(path) as office:
            lead = await lead_office(office, path)
            issuing, earlier = lead.certificates.issuing, lead.certificates.earlier_issuers
            changed.append(issuing != first)

            assert first in {issuing, *earlier}
            assert len(await office.events("client-ca-changed")) == (1 if changed[-1] else 0)
            await office.use(certificate)
            await office.device(2)
            await new_ca(lead)
        if "cut" not in done:
            break

    assert changed == sorted(changed)
    assert {False, True} == set(changed)
