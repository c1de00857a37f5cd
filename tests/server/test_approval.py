# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.approval, and of enrolment that waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from umslab_protocol.wire.basic_auth import format_basic
from umslab_protocol.wire.transfer import Wrapping, encode_body
from umslab_runtime.http import Request
from umslab_server import approval
from umslab_server.approval import ApprovalError, Approvals
from umslab_server.certificates import encode_issued
from umslab_server.enrolment import EnrolmentRefused, Issued
from umslab_server.front.est import BasicAuthentication, Est

from .parts import ELSEWHERE, HERE, Endpoint, Office, open_office, peer, unit_id

if TYPE_CHECKING:
    from pathlib import Path

RETRY_SECONDS = 7.0


@pytest.fixture
def approvals(office: Office) -> Approvals:
    """Decisions in an office that asks for them."""
    office.enrolment._approval_seconds = RETRY_SECONDS
    return Approvals(office.store)


async def status(office: Office, endpoint: Endpoint, secret: str) -> int:
    """How a request is answered."""
    answer = await office.ask(endpoint, secret)
    return 200 if isinstance(answer, Issued) else answer.status


async def test_automatic(office: Office) -> None:
    """The default asks nobody."""
    await office.device(1)

    assert await Approvals(office.store).list_all() == []
    assert await office.events("approval-asked") == []


async def test_waiting(office: Office, approvals: Approvals) -> None:
    """202 with the configured time, as often as it asks; it is noted once, and the key is not used up (K5)."""
    secret, device = await office.one_time_key(), Endpoint(1)
    answers = [await office.ask(device, secret) for _ in range(3)]
    (asked,) = await office.events("approval-asked")
    (listed,) = await approvals.list_all()

    assert {(one.status, one.retry_after) for one in answers if isinstance(one, EnrolmentRefused)} == {
        (202, RETRY_SECONDS)
    }
    assert (asked.unit_id, asked.actor) == (unit_id(1), HERE)
    assert (listed.unit_id, listed.state, listed.source, listed.decided_at) == (unit_id(1), "waiting", HERE, None)
    assert await office.uses() == [0]
    assert await office.registry.list_devices() == []


async def test_over_http(office: Office, approvals: Approvals) -> None:
    """RFC 7030 section 4.2.3: 202 with Retry-After in whole seconds, and a sentence."""
    front = Est(
        office.enrolment,
        BasicAuthentication(),
        ca_certificates=lambda: b"",
        csr_attributes=b"",
        wrapping=Wrapping.ONE_LINE,
        encode_certificate=encode_issued,
    )
    headers = [("authorization", format_basic("", await office.mass_key())), ("content-type", "application/pkcs10")]
    body = encode_body(Endpoint(1).request, Wrapping.ONE_LINE, "")
    answer = await front.simpleenroll(Request("POST", "/x", "", headers, body, peer(None)))

    assert (answer.status, answer.header("retry-after")) == (202, "7")
    assert b"approval" in answer.body


async def test_approved(office: Office, approvals: Approvals) -> None:
    """The next identical request is issued, the key is used once, nothing waits any more."""
    secret, device = await office.one_time_key(), Endpoint(1)
    await office.ask(device, secret)
    count = await approvals.approve([unit_id(1)], actor="ann")
    certificate = await office.enrol(device, secret)
    again = await office.enrol(device, secret)
    await office.use(certificate)
    (granted,) = await office.events("approval-granted")

    assert count == 1
    assert certificate == again
    assert (granted.unit_id, granted.actor) == (unit_id(1), "ann")
    assert await office.uses() == [1]
    assert await approvals.list_all() == []


async def test_approved_over_a_restart(tmp_path: Path) -> None:
    """Decisions are durable."""
    device = Endpoint(1)
    async with open_office(tmp_path) as office:
        office.enrolment._approval_seconds = RETRY_SECONDS
        secret = await office.mass_key()
        await office.ask(device, secret)
        await Approvals(office.store).approve([unit_id(1)], actor="ann")
    async with open_office(tmp_path) as office:
        office.enrolment._approval_seconds = RETRY_SECONDS

        assert await status(office, device, secret) == 200


async def test_same_key_again(office: Office, approvals: Approvals) -> None:
    """A device whose key pair was approved is not asked again; a new key pair is, and so is one that was revoked."""
    secret, device = await office.mass_key(), Endpoint(1)
    await office.ask(device, secret)
    await approvals.approve([unit_id(1)], actor="ann")
    await office.use(await office.enrol(device, secret))
    same = await office.ask(device, secret, request=device.another_request())
    other = await status(office, Endpoint(1), secret)
    await approvals.approve([unit_id(1)], actor="ann")
    await office.registry.revoke(unit_id(1), actor="ann", reason="stolen")
    revoked = await office.ask(device, secret, request=device.another_request())

    assert isinstance(same, Issued)
    assert other == 202
    assert isinstance(revoked, EnrolmentRefused)
    assert revoked.status == 202


async def test_renewals_wait_for_nobody(office: Office, approvals: Approvals) -> None:
    """Who has a certificate renews it, with a new key if it likes."""
    secret, device = await office.mass_key(), Endpoint(1)
    await office.ask(device, secret)
    await approvals.approve([unit_id(1)], actor="ann")
    certificate = await office.enrol(device, secret)
    await office.use(certificate)
    renewed = await office.enrolment.renew(Endpoint(1).request, certificate, HERE)

    assert isinstance(renewed, Issued)


async def test_rejected(office: Office, approvals: Approvals) -> None:
    """403 with a sentence as long as it asks with the same key; another key asks anew; a rejection can be undone."""
    secret, device = await office.mass_key(), Endpoint(1)
    await office.ask(device, secret)
    await approvals.reject([unit_id(1)], actor="ann")
    refused = await office.ask(device, secret)
    other = await status(office, Endpoint(1), secret)
    (event,) = await office.events("enrolment-refused")

    assert isinstance(refused, EnrolmentRefused)
    assert (refused.status, "rejected" in refused.message) == (403, True)
    assert event.cause == "rejected"
    assert other == 202
    await approvals.reject([unit_id(1)], actor="ann")
    await approvals.approve([unit_id(1)], actor="ann")
    assert [one.state for one in await approvals.list_all()] == ["approved"]


async def test_wrong_key_asks_nobody(office: Office, approvals: Approvals) -> None:
    """A stranger does not get on the list, nor does a device in the bin."""
    secret = await office.mass_key()
    office.enrolment._approval_seconds = None
    await office.device(2, secret=secret)
    office.enrolment._approval_seconds = RETRY_SECONDS
    await office.registry.delete(unit_id(2), actor="ann")

    assert [await status(office, Endpoint(1), "wrong"), await status(office, Endpoint(2), secret)] == [401, 403]
    assert await approvals.list_all() == []


async def test_purged_device_asks_anew(office: Office, approvals: Approvals) -> None:
    """L9, A2: what was deleted for good is a stranger again, also with the same key pair."""
    secret, device = await office.mass_key(), Endpoint(1)
    await office.ask(device, secret)
    await approvals.approve([unit_id(1)], actor="ann")
    await office.use(await office.enrol(device, secret))
    await office.registry.purge(unit_id(1), actor="ann")

    assert await status(office, device, secret) == 202


async def test_all_at_once(office: Office, approvals: Approvals) -> None:
    """Everybody who waits now, but nobody who was rejected; the list has those first who wait the longest."""
    secret = await office.mass_key()
    for number in (3, 1, 2):
        await office.ask(Endpoint(number), secret, source=ELSEWHERE)
    await approvals.reject([unit_id(3)], actor="ann")
    listed = [(one.unit_id, str(one.state)) for one in await approvals.list_all()]
    count = await approvals.approve_all(actor="ann")

    assert listed == [(unit_id(1), "waiting"), (unit_id(2), "waiting"), (unit_id(3), "rejected")]
    assert count == 2
    assert await approvals.approve_all(actor="ann") == 0


async def test_refusals(office: Office, approvals: Approvals) -> None:
    """All of them or none; twice is told."""
    await office.ask(Endpoint(1), await office.mass_key())
    with pytest.raises(ApprovalError, match=f"{unit_id(2)} has not asked"):
        await approvals.approve([unit_id(1), unit_id(2)], actor="ann")
    before = [str(one.state) for one in await approvals.list_all()]
    await approvals.approve([unit_id(1), unit_id(1)], actor="ann")
    with pytest.raises(ApprovalError, match="is approved already"):
        await approvals.approve([unit_id(1)], actor="ann")
    with pytest.raises(ApprovalError, match="no device was named"):
        await approvals.reject([], actor="ann")

    assert before == ["waiting"]


async def test_bounded(office: Office, approvals: Approvals, monkeypatch: pytest.MonkeyPatch) -> None:
    """When too many wait, the next is told to come later and is not noted; those on the list are not affected."""
    monkeypatch.setattr(approval, "MAX_WAITING", 2)
    secret, first = await office.mass_key(), Endpoint(1)
    answers = [await status(office, one, secret) for one in (first, Endpoint(2), Endpoint(3), first)]
    with_new_key = await status(office, Endpoint(1), secret)

    assert answers == [202, 202, 503, 202]
    assert with_new_key == 202
    assert len(await approvals.list_all()) == 2
