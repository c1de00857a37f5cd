# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.configuration.tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from umslab_server.configuration.tree import (
    MAX_DEPTH,
    all_paths,
    below_root,
    chain,
    check_name,
    create_path,
    height,
    path_of,
    resolve,
    subtree,
)
from umslab_server.errors import RefusedError

if TYPE_CHECKING:
    from umslab_server.store import Writer

    from .plant import Plant


async def test_paths(plant: Plant) -> None:
    """A path names a directory, and a directory has a path; also by number; / is the root."""

    def work(writer: Writer) -> None:
        deep, made = create_path(writer, "/Bremen/Hall 1", actor="t")
        again, made_again = create_path(writer, "Bremen//Hall 1/", actor="t")
        connection = writer.connection
        bremen = resolve(connection, "/Bremen")

        assert (made, made_again, again) == (True, False, deep)
        assert "/Bremen/Hall 1" == path_of(connection, deep)
        assert "/" == path_of(connection, -1)
        assert {-1: "/", bremen: "/Bremen", deep: "/Bremen/Hall 1"} == all_paths(connection)
        assert [deep, deep, -1, -1] == [resolve(connection, one) for one in ("/Bremen/Hall 1", str(deep), "/", "-1")]
        assert [-1, bremen, deep] == [one for one, _ in chain(connection, deep)]
        assert {bremen, deep} == subtree(connection, bremen)
        assert (2, 3) == (height(connection, bremen), height(connection, -1))
        assert set() == subtree(connection, 999)

    await plant.store.change(work)


@pytest.mark.parametrize("text", ["/none", "17", "-5", "9" * 40, "²", "/a/b", "x" * 10_000])
async def test_unknown(plant: Plant, text: str) -> None:
    """What is not there is refused in a sentence."""
    with pytest.raises(RefusedError, match="there is no directory"):
        await plant.store.read(lambda connection: resolve(connection, text))


async def test_root_stays(plant: Plant) -> None:
    """The root can be neither moved nor deleted."""
    with pytest.raises(RefusedError, match="root directory"):
        await plant.store.read(lambda connection: below_root(connection, "/"))


@pytest.mark.parametrize("name", ["", " ", "a/b", "x" * 101, "a\nb", "\x1b[31m"])
def test_names(name: str) -> None:
    """1 to 100 printable characters without a slash."""
    with pytest.raises(RefusedError, match="printable characters"):
        check_name(name)


async def test_depth(plant: Plant) -> None:
    """32 levels, the root included."""
    deepest = "/x" * (MAX_DEPTH - 1)
    await plant.store.change(lambda writer: create_path(writer, deepest, actor="t"))
    with pytest.raises(RefusedError, match="32 deep"):
        await plant.store.change(lambda writer: create_path(writer, deepest + "/y", actor="t"))
