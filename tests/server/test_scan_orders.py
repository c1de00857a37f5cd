# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.scan_orders: what the event feed tells of orders; whole stories are in tests/integration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.server.parts import Office, open_office, unit_id
from umslab_server import approval, scan_orders

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from umslab_server.store import Writer

UNITS = [unit_id(number) for number in (1, 2, 3, 4)]


async def _order(office: Office, *, by_rules: bool = False) -> int:
    hosts = dict.fromkeys(UNITS, "127.3.0.1")
    return await office.store.change(lambda writer: scan_orders.note(writer, hosts, by_rules=by_rules, actor="me"))


async def _enrolled(office: Office, **how: Any) -> None:
    await office.store.change(lambda writer: writer.event("device-enrolled", actor="x", unit_id=UNITS[0], **how))


async def test_what_became_of_them(tmp_path: Path, autojump_clock: MockClock) -> None:
    """One is registered, one waits, one was refused, of one nothing is known; what was before does not count."""
    async with open_office(tmp_path) as office:
        await _enrolled(office)
        since = await _order(office)

        def work(writer: Writer) -> None:
            writer.event("os11-registered", actor="x", unit_id=UNITS[0], how="token")
            approval.ask(writer, UNITS[1], "AA", "x")
            writer.event("registration-refused", actor="x", unit_id=UNITS[2], cause="in the bin")

        before = await office.store.read(lambda connection: scan_orders.come_since(connection, since))
        await office.store.change(work)
        come = await office.store.read(lambda connection: scan_orders.come_since(connection, since))
        why = await office.store.read(lambda connection: scan_orders.why_not_come(connection, UNITS[1:], since))

        assert (set(), set()) == before
        assert ({UNITS[0]}, {UNITS[1]}) == come
        assert {
            UNITS[1]: f"it has come, and waits for approval: umslab ctl approve {UNITS[1]}",
            UNITS[2]: "it has come, and was refused: in the bin",
            UNITS[3]: "ordered, and not registered in time: does it wait for a scan, "
            "and can it reach this server directly?",
        } == why


@pytest.mark.parametrize(
    ("by_rules", "how", "alone"),
    [
        (False, {"key_kind": "automatic"}, True),
        (False, {"how": "token"}, True),
        (True, {"key_kind": "automatic"}, False),
        (False, {"key": 1}, False),
        (False, {"how": "user"}, False),
    ],
)
async def test_left_alone(
    tmp_path: Path, autojump_clock: MockClock, *, by_rules: bool, how: dict[str, Any], alone: bool
) -> None:
    """Directory rules leave a device alone that came by an order without them (A8), not one that came otherwise."""
    async with open_office(tmp_path) as office:
        states = []
        for step in (_order(office, by_rules=by_rules), _enrolled(office, **how)):
            states.append(await office.store.read(lambda connection: scan_orders.is_left_alone(connection, UNITS[0])))
            await step
        states.append(await office.store.read(lambda connection: scan_orders.is_left_alone(connection, UNITS[0])))

        assert [False, False, alone] == states
