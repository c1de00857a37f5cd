# SPDX-License-Identifier: Apache-2.0
"""Whatever is asked over the control socket: a result that can be written as JSON, or a `ControlError`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.control.desk import open_control
from tests.server.parts import open_office, unit_id
from umslab_runtime.control import ControlError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from umslab_server.control.dispatch import Control

_numbers = st.one_of(st.integers(-1, 3), st.integers(), st.floats(allow_nan=False, allow_infinity=False))
_texts = st.one_of(
    st.text(max_size=12), st.sampled_from([unit_id(1), unit_id(2), "mass", "bound", "one-time", f"{unit_id(3)};x"])
)
_names = st.sampled_from(["name", "site", "serial_number", "unit_id"])
_values = st.one_of(
    st.none(),
    st.booleans(),
    _numbers,
    _texts,
    st.lists(_texts, max_size=3),
    st.lists(st.sampled_from([unit_id(1), unit_id(2), unit_id(3)]), max_size=3),
    st.dictionaries(st.one_of(_texts, _names), _texts, max_size=2),
)
_LIKELY: Mapping[str, st.SearchStrategy[Any]] = {
    "count": st.one_of(st.integers(-1, 3), st.integers(min_value=10**6)),
    "unit_id": st.one_of(st.sampled_from([unit_id(1), unit_id(2)]), _values),
    "follow": st.one_of(st.just(value=False), _texts, _numbers),  # to follow is to wait for ever
}


def _requests(control: Control) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    """A command with some of its arguments, likely and unlikely ones; or no command at all."""

    def arguments(name: str) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
        fields = control._commands[name].args.__struct_fields__
        known = {field: _LIKELY.get(field, _values) for field in fields}
        return st.tuples(st.just(name), st.fixed_dictionaries({}, optional=known))

    strangers = st.tuples(st.text(max_size=10), st.dictionaries(st.text(max_size=5), _values, max_size=2))
    return st.one_of(st.sampled_from(sorted(control._commands)).flatmap(arguments), strangers)


async def test_control(tmp_path: Path) -> None:
    """No request ends in anything else, and the services work afterwards."""
    async with open_office(tmp_path) as office:
        control = open_control(office, tmp_path)
        await office.device(1)
        items: list[bytes] = []

        async def emit(item: Any) -> None:
            await trio.lowlevel.checkpoint()
            items.append(msgspec.json.encode(item))

        async def ask(name: str, args: dict[str, Any]) -> None:
            code = "refused"
            try:
                msgspec.json.encode(await control.handle(name, args, emit))
            except ControlError as error:
                code = error.code
            assert code in {"refused", "invalid", "unknown-command"}

        @given(_requests(control))
        @settings(deadline=None)
        def check(request: tuple[str, dict[str, Any]]) -> None:
            trio.from_thread.run(ask, *request)

        await trio.to_thread.run_sync(check)
        await office.device(4)

        assert unit_id(4) in [device.unit_id for device in await office.registry.list_devices()]
