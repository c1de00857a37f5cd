# SPDX-License-Identifier: Apache-2.0
"""Arbitrary lines into the control socket: each is answered with one JSON object, and the server lives."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
import structlog
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from umslab_runtime.control import ControlServer, open_control_listener

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

names = st.sampled_from(["echo", "item", "bug", ""]) | st.text(max_size=5)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
requests = st.fixed_dictionaries(
    {"v": st.just(1) | values, "do": names | values}, optional={"args": values, "extra": values}
)
lines = st.one_of(
    st.binary(max_size=60).map(lambda data: data.replace(b"\n", b"")),
    requests.map(lambda request: json.dumps(request).encode()),
    st.integers(1, 100_000).map(lambda depth: b'{"v":1,"do":"echo","args":' + b"[" * depth),
    st.integers(1, 5_000).map(lambda digits: b'{"v":' + b"9" * digits + b"}"),
)


@pytest.fixture(scope="module")
def socket_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the servers listen, one after the other."""
    return tmp_path_factory.mktemp("control") / "control.sock"


async def handle(name: str, args: dict[str, Any], emit: Callable[[Any], Awaitable[None]]) -> Any:
    """Echo, stream, or fail."""
    if name == "item":
        await emit(args)
    if name == "bug":
        raise LookupError(name)
    return args


@settings(deadline=None)
@given(lines=st.lists(lines, max_size=5), cut=st.binary(max_size=10).map(lambda data: data.replace(b"\n", b"")))
def test_every_line_is_answered(socket_path: Path, lines: list[bytes], cut: bytes) -> None:
    """As many answers come as lines were sent, all of them well formed; a line without its end gets none."""
    answers: list[Any] = []

    async def converse() -> None:
        async with open_control_listener(socket_path) as (listener, path), trio.open_nursery() as nursery:
            nursery.start_soon(ControlServer(handle).serve, listener)
            async with await trio.open_unix_socket(os.fspath(path)) as stream:
                await stream.send_all(b"".join(line + b"\n" for line in lines) + cut)
                await stream.send_eof()
                said = b"".join([bytes(data) async for data in stream])
            answers.extend(answer for line in said.splitlines() if "item" not in (answer := json.loads(line)))
            nursery.cancel_scope.cancel()

    with structlog.testing.capture_logs() as logs:
        trio.run(converse)

    assert len(lines) == len(answers)
    assert all(set(answer) == ({"ok", "result"} if answer["ok"] else {"ok", "error"}) for answer in answers)
    defects = [answer for answer in answers if not answer["ok"] and answer["error"]["code"] == "defect"]
    assert len(logs) == len(defects) <= sum(b'"bug"' in line for line in lines)
