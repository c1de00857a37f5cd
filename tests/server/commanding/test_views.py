# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.commanding.views."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.server.parts import EPOCH, unit_id
from umslab_protocol.wire.orders import CommandName
from umslab_server.commanding import views
from umslab_server.commanding.executions import Order
from umslab_server.commanding.jobs import Plan
from umslab_server.commanding.selectors import Selector
from umslab_server.commanding.views import Criteria
from umslab_server.errors import RefusedError
from umslab_server.store import timestamp

if TYPE_CHECKING:
    from trio.testing import MockClock

    from .workshop import Workshop

APPS = [{"name": "chromium", "version": "1", "state": "installed"}, {"name": "vdi", "version": "2", "state": "failed"}]


async def numbers(shop: Workshop, **criteria: Any) -> list[int]:
    """The devices that meet the criteria."""
    now = shop.office.clock.utc()
    found = await shop.office.store.read(
        lambda connection: views.find(connection, Criteria(**criteria), shop.office.presence, now)
    )
    return [int(one[4:], 16) for one in found]


@pytest.fixture
async def three(shop: Workshop) -> Workshop:
    """Three devices, the third of which is connected."""
    await shop.add(1, 2)
    await shop.bring(3)
    await shop.set(1, name="desk_1", structure_tag="HB-1", firmware="12.8.4", onboarded_by="ann@example.com")
    await shop.set(2, name="desk%2", structure_tag="HB-2", firmware="12.80.1", apps=json.dumps(APPS))
    await shop.set(3, name="Kiosk", structure_tag="hh", firmware="12.8.4.1", applied_digest="d", settings_digest="d")
    await shop.set(2, settings_digest="new")
    return shop


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        ({"name": "Kiosk"}, [3]),
        ({"name": "kiosk"}, []),
        ({"name": "k*"}, [3]),
        ({"name": "desk?*"}, [1, 2]),
        ({"name": "desk_*"}, [1]),
        ({"name": "desk%*"}, [2]),
        ({"structure_tag": "HB-*"}, [1, 2]),
        ({"structure_tag": "HB-1"}, [1]),
        ({"firmware": "12.8.4"}, [1]),
        ({"firmware": "12.8.*"}, [1, 3]),
        ({"firmware": "12.8*"}, [1, 2, 3]),
        ({"onboarded_by": "*@example.com"}, [1]),
        ({"online": True}, [3]),
        ({"online": False}, [1, 2]),
        ({"config_changes": "PENDING"}, [2]),
        ({"config_changes": "APPLIED"}, [1, 3]),
        ({"app": "chromium"}, [2]),
        ({"app": "vdi"}, []),
        ({"directory": "/"}, [1, 2, 3]),
        ({"name": "desk*", "firmware": "12.8.*"}, [1]),
        ({}, [1, 2, 3]),
    ],
)
async def test_criteria(three: Workshop, criteria: dict[str, Any], expected: list[int]) -> None:
    """Text is equal or a pattern; all that is given has to be true."""
    assert await numbers(three, **criteria) == expected


async def test_lost_devices(shop: Workshop, autojump_clock: MockClock) -> None:
    """H1: by the last contact; online devices and those that never registered are not lost."""
    await shop.add(1, 2, 3, 4)
    old, new = timestamp(EPOCH - timedelta(days=31)), timestamp(EPOCH - timedelta(days=29))
    await shop.set(1, last_contact=old, registered_at=old)
    await shop.set(2, last_contact=new, registered_at=old)
    await shop.set(3, registered_at=old)
    (robot,) = await shop.bring(5)
    await shop.set(5, last_contact=old, registered_at=old)
    before = await numbers(shop, not_seen_for_days=30)
    shop.leave(robot)

    assert before == [1, 3]
    assert await numbers(shop, not_seen_for_days=30) == [1, 3, 5]


async def test_recycle_bin(three: Workshop) -> None:
    """J8: nothing in the bin is found."""
    await three.office.registry.delete(unit_id(1), actor="ann")

    assert await numbers(three, firmware="12.8.*") == [3]


async def test_life_of_a_view(three: Workshop) -> None:
    """Saved, listed, shown, deleted; each change is in the feed."""
    made = await three.views.create("bremen", Criteria(structure_tag="HB-*"), actor="ann")
    view, devices = await three.views.show("bremen")
    listed = await three.views.list_views()
    await three.views.delete("bremen", actor="bob")

    assert view == made == listed[0]
    assert made.criteria == {"structure_tag": "HB-*"}
    assert [(one.unit_id, one.online, one.firmware) for one in devices] == [
        (unit_id(1), False, "12.8.4"),
        (unit_id(2), False, "12.80.1"),
    ]
    assert await three.views.search(Criteria(structure_tag="HB-*")) == devices
    assert [(event.kind, event.actor) for event in await three.events("view-created", "view-deleted")] == [
        ("view-created", "ann"),
        ("view-deleted", "bob"),
    ]
    with pytest.raises(RefusedError, match="there is no view"):
        await three.views.show("bremen")


async def test_used_by_a_job(shop: Workshop) -> None:
    """A view that a job needs is not deleted."""
    await shop.views.create("here", Criteria(online=True), actor="ann")
    order = Order(command=CommandName.REBOOT, selector=Selector(view="here"))
    await shop.jobs.create("nightly", order, Plan(), actor="ann")
    with pytest.raises(RefusedError, match="the job 'nightly' uses this view"):
        await shop.views.delete("here", actor="ann")
    await shop.jobs.delete("nightly", actor="ann")
    await shop.views.delete("here", actor="ann")

    assert await shop.views.list_views() == []


async def test_bounds(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """No empty view, no second of a name, no missing directory, and not any number."""
    monkeypatch.setattr(views, "MAX_VIEWS", 1)
    await shop.views.create("one", Criteria(online=True), actor="ann")
    for name, criteria, sentence in (
        ("two", Criteria(), "at least one criterion"),
        ("one", Criteria(online=True), "already"),
        ("two", Criteria(online=True), "the most there can be"),
    ):
        with pytest.raises(RefusedError, match=sentence):
            await shop.views.create(name, criteria, actor="ann")
    monkeypatch.undo()
    with pytest.raises(RefusedError, match="there is no directory"):
        await shop.views.create("two", Criteria(directory="/nowhere"), actor="ann")
