# SPDX-License-Identifier: Apache-2.0
"""Whatever is asked about commands, jobs and views: a result that can be written as JSON, or a `ControlError`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.commanding.workshop import open_workshop
from tests.server.parts import unit_id
from umslab_protocol.wire.orders import CommandName
from umslab_runtime.control import ControlError
from umslab_server.control.commands import CommandCommands
from umslab_server.control.dispatch import Control
from umslab_server.control.jobs import JobCommands
from umslab_server.control.views import ViewCommands

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.server.commanding.workshop import Workshop

_numbers = st.one_of(
    st.integers(-1, 3), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 9)
)
_texts = st.one_of(
    st.text(max_size=12), st.sampled_from([unit_id(1), "/", "-1", "here", "nightly", "*", "%_\\", "12.*"])
)
_odd = st.one_of(st.none(), st.booleans(), _numbers, _texts, st.lists(_texts, max_size=2))
_selectors = st.fixed_dictionaries(
    {},
    optional={
        "unit_ids": st.lists(st.sampled_from([unit_id(1), unit_id(2), "x"]), max_size=3),
        "directory": _texts,
        "everyone": st.booleans(),
        "view": _texts,
    },
)
_criteria = st.fixed_dictionaries(
    {},
    optional={
        "name": _texts,
        "structure_tag": _texts,
        "firmware": _texts,
        "onboarded_by": _texts,
        "directory": _texts,
        "online": st.booleans(),
        "config_changes": st.sampled_from(["PENDING", "APPLIED"]),
        "not_seen_for_days": _numbers,
        "app": _texts,
    },
)
_parameters = st.dictionaries(st.sampled_from(["text", "file", "name", "version", "x"]), _texts, max_size=3)
_dates = st.one_of(
    st.datetimes().map(lambda date: f"{date.isoformat()}Z"), st.just("9999-12-31T23:59:59-14:00"), _texts
)
_LIKELY: Mapping[str, st.SearchStrategy[Any]] = {
    "command": st.sampled_from([*map(str, CommandName), "explode"]),
    "selector": st.one_of(_selectors, st.just({"everyone": True}), _odd),
    "criteria": st.one_of(_criteria, _odd),
    "parameters": st.one_of(_parameters, _odd),
    "at": _dates,
    "wait": st.just(value=False),
    "limit": st.one_of(st.integers(-1, 3), st.integers()),
    "job": st.one_of(st.just("nightly"), _texts),
    "view": st.one_of(st.just("here"), _texts),
    "parallel": st.integers(-1, 3),
    "keep_results": st.booleans(),
}


def _requests(control: Control) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    """A command with some of its arguments, likely and unlikely ones."""

    def arguments(name: str) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
        fields = control._commands[name].args.__struct_fields__
        known = {field: _LIKELY.get(field, _odd) for field in fields}
        needed = {field: known.pop(field) for field in ("command", "selector", "job", "view") if field in known}
        return st.tuples(st.just(name), st.fixed_dictionaries(needed, optional=known))

    return st.sampled_from(sorted(control._commands)).flatmap(arguments)


def _control(shop: Workshop) -> Control:
    return Control(
        CommandCommands(shop.commands, clock=shop.office.clock).table(),
        JobCommands(shop.jobs, timeout_seconds=30.0).table(),
        ViewCommands(shop.views).table(),
    )


async def test_control(tmp_path: Path) -> None:
    """No request ends in anything else, and the services work afterwards."""
    async with open_workshop(tmp_path) as shop:
        control = _control(shop)
        (robot,) = await shop.bring(1)
        await shop.add(2)

        async def emit(item: Any) -> None:
            await trio.lowlevel.checkpoint()
            msgspec.json.encode(item)

        async def ask(name: str, args: dict[str, Any]) -> None:
            code = "refused"
            try:
                msgspec.json.encode(await control.handle(name, args, emit))
            except ControlError as error:
                code = error.code
            assert code in {"refused", "invalid"}

        @given(_requests(control))
        @settings(deadline=None)
        def check(request: tuple[str, dict[str, Any]]) -> None:
            trio.from_thread.run(ask, *request)

        await trio.to_thread.run_sync(check)
        exec_id = await shop.start(1)

        assert await shop.states(exec_id) == ["SUCCESS"]
        assert exec_id in robot.done
