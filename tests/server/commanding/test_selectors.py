# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.commanding.selectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.server.parts import unit_id
from umslab_protocol.errors import InvalidValueError
from umslab_server.commanding import selectors
from umslab_server.commanding.selectors import Selector
from umslab_server.commanding.views import Criteria
from umslab_server.errors import RefusedError
from umslab_server.tables import directory

if TYPE_CHECKING:
    from .workshop import Workshop

ONE, TWO, THREE = unit_id(1), unit_id(2), unit_id(3)


async def meant(shop: Workshop, *, forgiving: bool = False, **ways: Any) -> list[str]:
    """The unit IDs that are meant."""
    now, presence = shop.office.clock.utc(), shop.office.presence
    selector = Selector(**ways)
    return await shop.office.store.read(
        lambda connection: selectors.resolve(connection, selector, presence, now, forgiving=forgiving)
    )


async def add_directories(shop: Workshop) -> None:
    """/Bremen (1) with /Bremen/Office (2)."""
    rows = [{"name": "Bremen", "parent_id": -1, "created_at": ""}, {"name": "Office", "parent_id": 1, "created_at": ""}]
    for row in rows:
        await shop.execute(directory.insert().values(**row))


async def test_named(shop: Workshop) -> None:
    """Each once, in order."""
    await shop.add(1, 2, 3)

    assert await meant(shop, unit_ids=[TWO, ONE, TWO]) == [ONE, TWO]


async def test_directory(shop: Workshop) -> None:
    """By path or number, with everything below; names come on top."""
    await shop.add(1, 2, 3)
    await add_directories(shop)
    await shop.set(1, directory_id=1)
    await shop.set(2, directory_id=2)

    assert await meant(shop, directory="/Bremen") == [ONE, TWO]
    assert await meant(shop, directory="2") == [TWO]
    assert await meant(shop, directory="/") == [ONE, TWO, THREE]
    assert await meant(shop, directory="/Bremen/Office", unit_ids=[THREE]) == [TWO, THREE]


async def test_everyone_and_views(shop: Workshop) -> None:
    """All there are, or those in a saved view now."""
    await shop.add(1, 2)
    await shop.set(2, structure_tag="hall")
    await shop.views.create("hall", Criteria(structure_tag="hall"), actor="ann")
    before = await meant(shop, view="hall")
    await shop.set(1, structure_tag="hall")

    assert before == [TWO]
    assert await meant(shop, view="hall") == [ONE, TWO]
    assert await meant(shop, everyone=True) == [ONE, TWO]


async def test_recycle_bin(shop: Workshop) -> None:
    """J8: what is in the bin is not meant, and refused when it is named."""
    await shop.add(1, 2)
    await shop.views.create("all", Criteria(name="*"), actor="ann")
    await shop.office.registry.delete(ONE, actor="ann")

    for ways in ({"everyone": True}, {"directory": "/"}, {"view": "all"}):
        assert await meant(shop, **ways) == [TWO]
    with pytest.raises(RefusedError, match="in the recycle bin and cannot be addressed"):
        await meant(shop, unit_ids=[ONE])
    with pytest.raises(RefusedError, match="no device has the unit ID"):
        await meant(shop, unit_ids=[THREE])
    assert await meant(shop, unit_ids=[ONE, TWO, THREE], forgiving=True) == [TWO]


@pytest.mark.parametrize(
    ("ways", "sentence"),
    [
        ({}, "which devices"),
        ({"everyone": True, "view": "x"}, "use only one"),
        ({"everyone": True, "directory": "/"}, "use only one"),
        ({"view": "x"}, "there is no view 'x'"),
        ({"directory": "/x"}, "there is no directory '/x'"),
        ({"directory": "99999999999999999999"}, "there is no directory"),
        ({"unit_ids": ["00:e0"]}, "is not a unit ID"),
    ],
)
async def test_refused(shop: Workshop, ways: dict[str, Any], sentence: str) -> None:
    """Each in a sentence."""
    with pytest.raises((RefusedError, InvalidValueError), match=sentence):
        await meant(shop, **ways)


async def test_many(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """More names than one query takes."""
    monkeypatch.setattr(selectors, "_AT_ONCE", 2)
    await shop.add(*range(1, 6))

    assert await meant(shop, unit_ids=[unit_id(number) for number in range(1, 6)]) == [
        unit_id(number) for number in range(1, 6)
    ]


def test_stored_and_read_again() -> None:
    """As text, only with what was said."""
    selector = Selector(directory="/Bremen", unit_ids=[ONE])

    assert selectors.to_text(selector) == f'{{"unit_ids":["{ONE}"],"directory":"/Bremen"}}'
    assert selectors.from_text(selectors.to_text(selector)) == selector
