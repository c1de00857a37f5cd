# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.automatic: who gets a token, and for whom it is good."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from tests.server.parts import ELSEWHERE, HERE, YEAR, Endpoint, Office, open_office, rendered_logs, unit_id
from umslab_server import automatic as module
from umslab_server.approval import Approvals
from umslab_server.automatic import FULL, KNOWN, OFF, TOKEN_SECONDS, Automatic, Token
from umslab_server.enrolment import IN_BIN, Enrolment, EnrolmentRefused, Issued, KnownDevice
from umslab_server.importing import ImportedDevice
from umslab_server.throttle import Throttle, ThrottleRules

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from trio.testing import MockClock


@asynccontextmanager
async def opened(
    path: Path, *, enabled: bool, approval_seconds: float | None = None
) -> AsyncIterator[tuple[Office, Automatic]]:
    """An office that takes tokens too."""
    async with open_office(path) as office:
        automatic = Automatic(office.store, Throttle(ThrottleRules()), enabled=enabled, clock=office.clock)
        await automatic.start()
        office.enrolment = Enrolment(
            office.store,
            office.reach,
            Throttle(ThrottleRules()),
            authority=lambda: office.authority,
            clock=office.clock,
            lifetime=YEAR,
            known_device=KnownDevice.ACCEPT,
            accept_expired=False,
            approval_seconds=approval_seconds,
            automatic=automatic,
        )
        yield office, automatic


async def token(automatic: Automatic, number: int = 1, source: str = HERE) -> str:
    """A token, which must be given."""
    answer = await automatic.issue(unit_id(number), source)

    assert isinstance(answer, Token), answer
    return answer.text


async def test_unknown_devices_while_it_is_on(tmp_path: Path, autojump_clock: MockClock) -> None:
    """They enrol with the token, with one key pair; the registry says how (A1, A6)."""
    async with opened(tmp_path, enabled=True) as (office, automatic):
        endpoint = Endpoint(1)
        text = await token(automatic)

        certificate = await office.enrol(endpoint, text)

        assert 401 == getattr(await office.ask(Endpoint(1), text), "status", None), "another key pair"
        assert certificate == await office.enrol(endpoint, text), "the lost answer comes again"
        (event,) = await office.events("device-enrolled")
        assert {"key_kind": "automatic"} == event.data
        assert certificate == await office.enrol(endpoint, await token(automatic)), "the lost answer comes again"
        another = await office.ask(endpoint, await token(automatic), request=endpoint.another_request())
        assert isinstance(another, Issued)
        assert certificate != another.certificate


async def test_a_token_belongs_to_a_unit_id_and_a_time(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Another device cannot use it, nobody can later, and a newer one replaces it."""
    async with opened(tmp_path, enabled=True) as (office, automatic):
        first = await token(automatic)
        assert isinstance(await office.ask(Endpoint(2), first), EnrolmentRefused)
        second = await token(automatic)
        assert isinstance(await office.ask(Endpoint(1), first), EnrolmentRefused)
        await trio.sleep(TOKEN_SECONDS)
        assert isinstance(await office.ask(Endpoint(1), second), EnrolmentRefused)


async def test_off(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Unknown and registered devices are refused with a reason; imported ones are not (A3)."""
    async with opened(tmp_path, enabled=False) as (office, automatic):
        await office.device(3)
        await office.registry.import_devices([ImportedDevice(unit_id=unit_id(2))], actor="test")

        assert OFF == await automatic.issue(unit_id(1), HERE)
        assert KNOWN == await automatic.issue(unit_id(3), HERE)
        await office.use(await office.enrol(Endpoint(2), await token(automatic, 2)))
        assert KNOWN == await automatic.issue(unit_id(2), HERE)
        assert ["automatic-off"] * 3 == [event.cause for event in await office.events("enrolment-refused")]


async def test_a_lost_answer_is_no_dead_end(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Whoever never used its certificate gets another token, for its own key pair, until it is used; also if it is off.

    Two restarts of the server would change nothing: this is read from the registry.
    """
    async with opened(tmp_path, enabled=False) as (office, automatic):
        endpoint = Endpoint(1)
        given = automatic.grant(endpoint.unit_id)
        assert isinstance(given, Token)
        certificate = await office.enrol(endpoint, given.text)

        assert 401 == getattr(await office.ask(Endpoint(1), await token(automatic)), "status", None)
        assert certificate == await office.enrol(endpoint, await token(automatic))
        await office.use(certificate)
        assert KNOWN == await automatic.issue(endpoint.unit_id, HERE)


async def test_waiting_for_approval(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A device that was ordered to come asks until a person has decided, with a new token each time (RFC 7030: 202)."""
    async with opened(tmp_path, enabled=False, approval_seconds=60) as (office, automatic):
        endpoint, approvals = Endpoint(1), Approvals(office.store)
        given = automatic.grant(endpoint.unit_id)
        assert isinstance(given, Token)
        assert 202 == getattr(await office.ask(endpoint, given.text), "status", None)
        await trio.sleep(TOKEN_SECONDS)
        assert 202 == getattr(await office.ask(endpoint, await token(automatic)), "status", None)
        assert 401 == getattr(await office.ask(Endpoint(1), await token(automatic)), "status", None), "somebody else"
        await approvals.approve([endpoint.unit_id], actor="ann")
        await office.use(await office.enrol(endpoint, await token(automatic)))

        assert KNOWN == await automatic.issue(endpoint.unit_id, HERE)


async def test_rejected(tmp_path: Path, autojump_clock: MockClock) -> None:
    """No token for whom a person has refused."""
    async with opened(tmp_path, enabled=False, approval_seconds=60) as (office, automatic):
        given = automatic.grant(unit_id(1))
        assert isinstance(given, Token)
        await office.ask(Endpoint(1), given.text)
        await Approvals(office.store).reject([unit_id(1)], actor="ann")

        assert OFF == await automatic.issue(unit_id(1), HERE)


async def test_used_tokens_are_forgotten_one_day(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest first, and all when their time is over."""
    monkeypatch.setattr(module, "MAX_TOKENS", 2)
    async with opened(tmp_path, enabled=True) as (_, automatic):
        texts = []
        for number in (1, 2, 3):
            texts.append(await token(automatic, number))
            assert automatic.take(unit_id(number), texts[-1], HERE, "key")

        assert not automatic.take(unit_id(1), texts[0], HERE, "key")
        assert automatic.take(unit_id(3), texts[2], HERE, "key")
        assert not automatic.take(unit_id(3), texts[2], HERE, "another")
        await trio.sleep(TOKEN_SECONDS)
        assert not automatic.take(unit_id(3), texts[2], HERE, "key")


@pytest.mark.parametrize("enabled", [True, False])
async def test_recycle_bin(tmp_path: Path, autojump_clock: MockClock, *, enabled: bool) -> None:
    """RB4 holds here too."""
    async with opened(tmp_path, enabled=enabled) as (office, automatic):
        await office.device(1)
        await office.registry.delete(unit_id(1), actor="test")

        assert IN_BIN == await automatic.issue(unit_id(1), HERE)


async def test_slowed_down(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Who asks without end must wait; others need not, and the feed is not filled."""
    async with opened(tmp_path, enabled=False) as (office, automatic):
        answers = [await automatic.issue(unit_id(number), HERE) for number in range(150)]
        again = [await automatic.issue(unit_id(7), ELSEWHERE) for _ in range(8)]

        assert 429 == getattr(answers[-1], "status", None)
        assert 429 == getattr(again[-1], "status", None)
        assert 110 > len(await office.events("enrolment-refused"))
        assert OFF == await automatic.issue(unit_id(8), ELSEWHERE)
        await trio.sleep(3_600)
        assert OFF == await automatic.issue(unit_id(7), ELSEWHERE)


async def test_a_site_behind_one_address(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A thousand devices register at once (the throttle is for those who guess)."""
    async with opened(tmp_path, enabled=True) as (_, automatic):
        tokens = {await token(automatic, number) for number in range(1_000)}

        assert 1_000 == len(tokens)


async def test_bounded(tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than so many tokens are out; they make room when they are over."""
    monkeypatch.setattr(module, "MAX_TOKENS", 3)
    async with opened(tmp_path, enabled=True) as (_, automatic):
        for number in range(3):
            await token(automatic, number)
        assert FULL == await automatic.issue(unit_id(9), HERE)
        await token(automatic, 1)
        await trio.sleep(TOKEN_SECONDS)
        await token(automatic, 9)


async def test_told_while_it_is_on(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A warning at the start, and since when, over restarts (A4)."""
    with rendered_logs() as logs:
        async with opened(tmp_path, enabled=True) as (_, automatic):
            since = automatic.since
            await trio.sleep(60)
        assert any("automatic registration is on" in line for line in logs)
    assert since is not None
    async with opened(tmp_path, enabled=True) as (office, automatic):
        assert since == automatic.since
        assert since in automatic.notices()[0]
    async with opened(tmp_path, enabled=False) as (office, automatic):
        assert automatic.since is None
        assert [] == automatic.notices()
        kinds = [event.kind for event in await office.events()]
        assert ["automatic-registration-on", "automatic-registration-off"] == kinds
