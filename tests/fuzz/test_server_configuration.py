# SPDX-License-Identifier: Apache-2.0
"""Whatever is asked of directories, profiles, apps, files and rules: an answer or a `ControlError`, and true rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from tests.server.control.offices import open_configuration_desk
from tests.server.parts import unit_id
from umslab_protocol.errors import InvalidValueError
from umslab_runtime.control import ControlError
from umslab_server.configuration.library import Library
from umslab_server.configuration.tree import all_paths
from umslab_server.errors import RefusedError
from umslab_server.importing import read_csv
from umslab_server.tables import device

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sqlalchemy import Connection

    from umslab_server.control.dispatch import Control

_paths = st.sampled_from(["/", "/a", "/a/b", "/c", "/none", "-1", "1", "2", "", "//", "x"])
_names = st.sampled_from(["p", "q", "a", "a@1", "global", "1", "2", "9" * 30, "²"]) | st.text(max_size=6)
_unit_ids = st.sampled_from([unit_id(1), unit_id(2), unit_id(9), "x"])
_receivers = st.lists(_paths | _unit_ids, max_size=3)
_settings = st.dictionaries(st.sampled_from(["x", "y.z", "%"]) | st.text(max_size=3), st.text(max_size=5), max_size=3)
_criteria = st.fixed_dictionaries(
    {}, optional={name: st.text(max_size=8) for name in ("structure_tag", "ip_range", "user", "app", "firmware")}
)
_numbers = st.integers(-1, 4) | st.integers()
_anything = st.none() | st.booleans() | _numbers | st.text(max_size=8) | _receivers | _settings
_LIKELY: Mapping[str, st.SearchStrategy[Any]] = {
    "path": _paths,
    "target": _paths,
    "directory": st.none() | _paths,
    "which": _names,
    "name": _names,
    "version": st.sampled_from(["1", "2", ""]),
    "kind": st.sampled_from(["profile", "priority"]),
    "type": st.sampled_from(["profile", "app", "file"]),
    "receivers": _receivers,
    "receiver": _paths | _unit_ids,
    "unit_id": _unit_ids,
    "unit_ids": st.lists(_unit_ids, max_size=3),
    "settings": _settings,
    "values": _settings,
    "remove": st.lists(st.sampled_from(["x", "y.z", "q"]), max_size=2),
    "criteria": _criteria,
    "changes": st.fixed_dictionaries(
        {}, optional={"criteria": _criteria, "directory": _paths, "override": st.booleans()}
    ),
    "id": _numbers,
    "position": st.none() | _numbers,
    "parent": st.none() | _numbers,
    "when": st.sampled_from(["now", "reboot"]),
}


def _requests(control: Control) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    def arguments(name: str) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
        fields = control._commands[name].args.__struct_fields__
        likely = {field: _LIKELY.get(field, _anything) for field in fields}
        wild = st.fixed_dictionaries({}, optional=dict.fromkeys(fields, _anything))
        return st.tuples(st.just(name), st.fixed_dictionaries(likely) | wild)

    return st.sampled_from(sorted(control._commands)).flatmap(arguments)


def _check_rows(connection: Connection) -> None:
    """Whatever was done: a device that has asked is to have what its directory and assignments make of it."""
    library, paths = Library(connection), all_paths(connection)
    for row in connection.execute(select(device)).all():
        assert row.directory_id in paths
        if row.settings_version:
            own = library.own([row.id]).get(row.id, ())
            assert library.document(row.directory_id, own).digest == row.settings_digest


async def test_commands(tmp_path: Path) -> None:
    """No request ends in anything else; after each, every device's row names the document it is to have."""
    async with open_configuration_desk(tmp_path) as (desk, plant):
        things = [await plant.managed(number) for number in (1, 2)]
        await plant.fill(1, "p", x="1")
        await plant.directories.create("/a/b", actor="ann")

        async def emit(item: Any) -> None:
            raise AssertionError(item)

        async def ask(name: str, args: dict[str, Any]) -> None:
            code = "refused"
            try:
                msgspec.json.encode(await desk.control.handle(name, args, emit))
            except ControlError as error:
                code = error.code
            assert code in {"refused", "invalid"}
            await plant.store.read(_check_rows)
            for thing in things:
                thing.session._waiting = None  # nobody acknowledges here

        @given(_requests(desk.control))
        @settings(deadline=None, max_examples=400)
        def check(request: tuple[str, dict[str, Any]]) -> None:
            trio.from_thread.run(ask, *request)

        await trio.to_thread.run_sync(check)


@given(st.text('0123456789,!;/ab\n"', max_size=60))
def test_import_with_directories_and_profiles(text: str) -> None:
    """A10: any text is rows, or refused."""
    try:
        for one in read_csv(text.encode()):
            assert all(number >= 0 for number in one.profiles)
    except (RefusedError, InvalidValueError):
        pass
