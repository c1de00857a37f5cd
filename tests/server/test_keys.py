# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.keys, seen through enrolments where a key only shows there what it is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from umslab_protocol.values.auth_key import KeyKind
from umslab_server.enrolment import WRONG_KEY, EnrolmentRefused, Issued
from umslab_server.keys import KeyProblemError
from umslab_server.store import StoreError

from .parts import Endpoint, Office, fill_disk, gather, open_office, rendered_logs, unit_id

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


class TestMaking:
    """K1, K3, K4: what keys there are."""

    async def test_generated(self, office: Office) -> None:
        """Seventeen digits like the vendor's samples, all different, and no leading zero."""
        made = await office.keys.create(KeyKind.ONE_TIME, count=50, label="batch", actor="ann")
        secrets = {key.secret or "" for key in made}

        assert len(secrets) == 50
        assert all(len(secret) == 17 and secret.isdecimal() and secret[0] != "0" for secret in secrets)
        assert {("one-time", "unused", "batch", None, 0)} == {
            (key.kind, key.state, key.label, key.bound_to, key.uses) for key in made
        }
        assert [(event.kind, event.actor) for event in await office.events()] == [("key-created", "ann")] * 50

    async def test_chosen(self, office: Office) -> None:
        """A mass-deployment key may have a text of the administrator's choice."""
        (key,) = await office.keys.create(KeyKind.MASS, chosen="Bremen-2026", actor="ann")

        assert (key.kind, key.secret) == (KeyKind.MASS, "Bremen-2026")

    async def test_bound(self, office: Office) -> None:
        """One key for each unit ID."""
        owners = [unit_id(1), unit_id(2)]
        made = await office.keys.create(KeyKind.BOUND, bound_to=owners, actor="ann")

        assert owners == [key.bound_to for key in made]
        assert owners == [event.unit_id for event in await office.events("key-created")]

    async def test_many_at_once(self, office: Office) -> None:
        """Thousands come in the order of their owners, numbered in that order, each with its event."""
        owners = [unit_id(number) for number in range(2500)]
        made = await office.keys.create(KeyKind.BOUND, bound_to=owners, actor="ann")

        assert [key.bound_to for key in made] == owners
        assert [key.id for key in made] == list(range(1, 2501))
        assert [event.data["key"] for event in await office.events("key-created")] == list(range(1, 2501))

    async def test_no_two_keys_are_equal(self, office: Office) -> None:
        """K3: a text that exists is refused, whatever the kind; nothing is made."""
        await office.mass_key("same")
        with pytest.raises(KeyProblemError, match="exists already"):
            await office.keys.create(KeyKind.ONE_TIME, chosen="same", actor="ann")

        assert len(await office.keys.list_keys()) == 1
        assert len(await office.events()) == 1

    @pytest.mark.parametrize("count", [0, -1, 100_001, 10**15])
    async def test_how_many(self, office: Office, count: int) -> None:
        """A number out of bounds is refused before anything is made."""
        with pytest.raises(KeyProblemError, match="1 to 100000 keys are made at once"):
            await office.keys.create(KeyKind.ONE_TIME, count=count, actor="ann")

    async def test_what_does_not_fit(self, office: Office) -> None:
        """Bound keys need owners, others have none, and a text is for one key."""
        with pytest.raises(KeyProblemError, match="a bound key needs unit IDs"):
            await office.keys.create(KeyKind.BOUND, actor="ann")
        with pytest.raises(KeyProblemError, match="only a bound key has them"):
            await office.keys.create(KeyKind.MASS, bound_to=[unit_id(1)], actor="ann")
        with pytest.raises(KeyProblemError, match="only one key"):
            await office.keys.create(KeyKind.MASS, chosen="text", count=2, actor="ann")

        assert await office.keys.list_keys() == []


class TestShowing:
    """K3: secrets on demand only."""

    async def test_list(self, office: Office) -> None:
        """Oldest first; secrets where they were asked for."""
        await office.mass_key("one")
        await office.mass_key("two")

        assert [key.secret for key in await office.keys.list_keys()] == [None, None]
        assert [key.secret for key in await office.keys.list_keys(with_secrets=True)] == ["one", "two"]

    async def test_show(self, office: Office) -> None:
        """One key with its secret."""
        await office.mass_key("one")

        assert (await office.keys.show(1)).secret == "one"

    async def test_unknown_number(self, office: Office) -> None:
        """Every question about a key that is not there is refused by number."""
        for call in (
            office.keys.show(7),
            office.keys.enable(7, enabled=True, actor="ann"),
            office.keys.delete(7, actor="ann"),
        ):
            with pytest.raises(KeyProblemError, match="there is no key number 7"):
                await call

    async def test_states(self, office: Office) -> None:
        """The word that people see, for every way of a key."""
        await office.mass_key()
        one_time, device = await office.one_time_key(), Endpoint(1)
        states = [[key.state for key in await office.keys.list_keys()]]
        await office.enrol(Endpoint(2), "mass-key")
        certificate = await office.enrol(device, one_time)
        states.append([key.state for key in await office.keys.list_keys()])
        await office.use(certificate)
        states.append([key.state for key in await office.keys.list_keys()])
        disabled = await office.keys.enable(1, enabled=False, actor="ann")

        assert states == [["unused", "unused"], ["in use", "used"], ["in use", "spent"]]
        assert disabled.state == "disabled"
        assert None is disabled.secret

    async def test_who_used_it(self, office: Office, autojump_clock: MockClock) -> None:
        """A one-time key tells which device took it and when it was spent; a mass key belongs to nobody."""
        await office.mass_key()
        await office.use(await office.enrol(Endpoint(1), await office.one_time_key()))
        await office.enrol(Endpoint(2), "mass-key")
        mass, one_time = await office.keys.list_keys()

        assert (unit_id(1), "2026-01-01T00:00:00.000Z", "2026-01-01T00:00:00.000Z") == (
            one_time.used_by,
            one_time.used_at,
            one_time.spent_at,
        )
        assert (mass.used_by, mass.used_at, mass.spent_at, mass.uses) == (None, None, None, 1)


class TestOneTime:
    """K1 a, K5, K6, SE3: used by exactly one device, again by that one until it has connected, then spent."""

    async def test_a_hundred_devices_one_key(self, office: Office) -> None:
        """However many ask at once, exactly one gets a certificate."""
        secret = await office.one_time_key()
        answers = await gather(*(office.ask(Endpoint(number), secret) for number in range(100)))
        issued = [answer for answer in answers if isinstance(answer, Issued)]
        (key,) = await office.keys.list_keys()
        devices = await office.registry.list_devices()

        assert len(issued) == 1
        assert {401, 429} >= {answer.status for answer in answers if isinstance(answer, EnrolmentRefused)}
        assert key.uses == 1
        assert [key.used_by] == [device.unit_id for device in devices]
        assert len(await office.events("device-enrolled")) == 1

    async def test_again_until_connected(self, office: Office) -> None:
        """The same device and public key may ask again, also with another request, until its first ws-connect."""
        secret, device = await office.one_time_key(), Endpoint(1)
        first = await office.enrol(device, secret)
        again = await office.enrol(device, secret)
        other = await office.enrol(device, secret, request=device.another_request())
        await office.use(other)

        assert first == again != other
        assert await office.ask(device, secret) == WRONG_KEY
        assert await office.ask(device, secret, request=device.another_request()) == WRONG_KEY

    async def test_first_certificate_spends_it_too(self, office: Office) -> None:
        """Whichever certificate of the key is used first, the key is spent."""
        secret, device = await office.one_time_key(), Endpoint(1)
        first = await office.enrol(device, secret)
        await office.enrol(device, secret, request=device.another_request())
        await office.use(first)

        assert await office.ask(device, secret) == WRONG_KEY

    async def test_belongs_to_unit_id_and_public_key(self, office: Office) -> None:
        """Neither another device nor the same unit ID with another key gets anything out of a used key."""
        secret = await office.one_time_key()
        await office.enrol(Endpoint(1), secret)

        assert await office.ask(Endpoint(2), secret) == WRONG_KEY
        assert await office.ask(Endpoint(1), secret) == WRONG_KEY

    async def test_stays_used_after_a_restart(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """A used key is used in the registry, not in memory."""
        device = Endpoint(1)
        async with open_office(tmp_path) as office:
            secret = await office.one_time_key()
            first = await office.enrol(device, secret)
        async with open_office(tmp_path) as office:
            assert await office.ask(Endpoint(2), secret) == WRONG_KEY
            assert first == await office.enrol(device, secret)


class TestBound:
    """K1 b: for one unit ID."""

    async def test_for_its_owner_only(self, office: Office) -> None:
        """Others cannot use it, and their trying does not use it up."""
        (key,) = await office.keys.create(KeyKind.BOUND, bound_to=[unit_id(1)], actor="ann")
        secret = key.secret or ""

        assert await office.ask(Endpoint(2), secret) == WRONG_KEY
        assert isinstance(await office.ask(Endpoint(1), secret), Issued)

    async def test_invalid_after_use(self, office: Office) -> None:
        """Once the owner has connected it opens nothing."""
        (key,) = await office.keys.create(KeyKind.BOUND, bound_to=[unit_id(1)], actor="ann")
        device, secret = Endpoint(1), key.secret or ""
        await office.use(await office.enrol(device, secret))

        assert await office.ask(device, secret) == WRONG_KEY
        assert (await office.keys.show(key.id)).state == "spent"


class TestMass:
    """K1 c: for as many as come."""

    async def test_many_devices(self, office: Office) -> None:
        """Every device gets its certificate, and each new enrolment counts once."""
        secret = await office.mass_key()
        devices = [Endpoint(number) for number in range(10)]
        for _ in range(2):
            for certificate in await gather(*(office.enrol(device, secret) for device in devices)):
                await office.use(certificate)
        await office.enrol(devices[0], secret, request=devices[0].another_request())

        assert await office.uses() == [11]


class TestCounting:
    """K5: counts rise on success only."""

    async def test_refusals_do_not_count(self, office: Office) -> None:
        """A wrong key, a device in the bin, a broken request: the count stays."""
        secret = await office.mass_key()
        await office.device(1, secret=secret)
        await office.registry.delete(unit_id(1), actor="ann")
        answers = [
            await office.ask(Endpoint(2), "wrong"),
            await office.ask(Endpoint(1), secret),
            await office.ask(Endpoint(2), secret, request=Endpoint(2).request[:-1] + b"\x00"),
        ]

        assert [answer.status for answer in answers if isinstance(answer, EnrolmentRefused)] == [401, 403, 400]
        assert await office.uses() == [1]

    async def test_full_disk_does_not_count(self, office: Office) -> None:
        """An enrolment that could not be written leaves key, registry and feed as they were."""
        secret, served = await office.mass_key(), 0
        fill_disk(office.store)
        with rendered_logs(), pytest.raises(StoreError):  # noqa: PT012
            while True:
                await office.enrol(Endpoint(served), secret)
                served += 1

        assert [served] == await office.uses()
        assert served == len(await office.registry.list_devices())
        assert served == len(await office.events("device-enrolled"))

    async def test_same_request_counts_once(self, office: Office) -> None:
        """A device whose answer was lost is not counted twice."""
        secret, device = await office.mass_key(), Endpoint(1)
        for _ in range(4):
            await office.enrol(device, secret)

        assert await office.uses() == [1]


class TestWithdrawing:
    """K3: disabling and deleting."""

    async def test_disabled(self, office: Office) -> None:
        """A disabled key opens nothing, not even for the device that used it; enabled again it does."""
        secret, device = await office.one_time_key(), Endpoint(1)
        first = await office.enrol(device, secret)
        await office.keys.enable(1, enabled=False, actor="ann")
        refused = await office.ask(device, secret)
        await office.keys.enable(1, enabled=True, actor="ann")

        assert refused == WRONG_KEY
        assert first == await office.enrol(device, secret)
        assert [(event.kind, event.data["key"]) for event in await office.events("key-disabled", "key-enabled")] == [
            ("key-disabled", 1),
            ("key-enabled", 1),
        ]

    async def test_deleted(self, office: Office) -> None:
        """A deleted key opens nothing, devices that enrolled with it stay, and its number is never used again."""
        secret = await office.mass_key()
        certificate = await office.enrol(Endpoint(1), secret)
        await office.keys.delete(1, actor="ann")
        await office.use(certificate)
        (next_key,) = await office.keys.create(KeyKind.MASS, actor="ann")

        assert await office.ask(Endpoint(2), secret) == WRONG_KEY
        assert next_key.id == 2
        assert [(event.kind, event.actor) for event in await office.events("key-deleted")] == [("key-deleted", "ann")]


class TestSecrets:
    """No secret is ever written where it does not belong."""

    async def test_never_in_events_nor_logs(self, office: Office) -> None:
        """Whatever is done with keys, also when the disk fails in the middle of it."""

        async def fill_up() -> None:
            for number in range(3, 1_000):
                await office.keys.create(KeyKind.MASS, chosen=f"very-secret-{number}", actor="ann")

        with rendered_logs() as logs:
            await office.mass_key("very-secret-1")
            (bound,) = await office.keys.create(
                KeyKind.BOUND, bound_to=[unit_id(1)], chosen="very-secret-2", actor="ann"
            )
            await office.use(await office.enrol(Endpoint(1), "very-secret-2"))
            await office.ask(Endpoint(2), "very-secret-wrong")
            await office.keys.enable(bound.id, enabled=False, actor="ann")
            await office.keys.delete(bound.id, actor="ann")
            with pytest.raises(KeyProblemError) as twice:
                await office.keys.create(KeyKind.MASS, chosen="very-secret-1", actor="ann")
            fill_disk(office.store)
            with pytest.raises(StoreError) as full:
                await fill_up()
        events = "\n".join(map(str, await office.events()))

        assert len(logs) == 1
        assert "database or disk is full" in logs[0]
        assert "Traceback" in logs[0]
        for text in (events, logs[0], str(twice.value), str(full.value)):
            assert "very-secret" not in text
