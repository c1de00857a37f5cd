# SPDX-License-Identifier: Apache-2.0
"""Whatever is sent to the token path: a proper answer, a bounded table, and no device that did not enrol."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.parts import Endpoint, open_office, peer, unit_id
from umslab_protocol.wire.registration_token import read_answer, write_request
from umslab_runtime.http import Request, Response
from umslab_server import automatic as module
from umslab_server.automatic import Automatic
from umslab_server.front.automatic import AutomaticFront
from umslab_server.throttle import Throttle, ThrottleRules

if TYPE_CHECKING:
    from pathlib import Path

_bodies = st.one_of(
    st.binary(max_size=100),
    st.integers(0, 30).map(lambda number: write_request(unit_id(number))),
    st.text(max_size=40).map(lambda text: b'{"unitID": "' + text.encode() + b'"}'),
)
_tokens = st.one_of(st.text(max_size=40), st.sampled_from(["", "a" * 43, "é", "\0"]))


@pytest.mark.parametrize("enabled", [True, False])
@given(bodies=st.lists(_bodies, max_size=60), guesses=st.lists(_tokens, max_size=5))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_requests(
    tmp_path_factory: pytest.TempPathFactory, *, enabled: bool, bodies: list[bytes], guesses: list[str]
) -> None:
    """Status 200, 400, 403, 429 or 503, and a token only while the switch is on."""
    trio.run(_story, tmp_path_factory.mktemp("office"), enabled, bodies, guesses)


async def _story(path: Path, enabled: bool, bodies: list[bytes], guesses: list[str]) -> None:  # noqa: FBT001 - by trio.run
    async with open_office(path) as office:
        automatic = Automatic(office.store, Throttle(ThrottleRules()), enabled=enabled, clock=office.clock)
        front = AutomaticFront(automatic, enrolment="")
        for body in bodies:
            answer = await front.post(Request("POST", "/x", "", [], body, peer(None)))
            assert isinstance(answer, Response)
            assert answer.status in ({200, 400, 429, 503} if enabled else {400, 403, 429})
            if answer.status == 200:
                assert read_answer(answer.body)
        assert len(automatic._tokens) <= module.MAX_TOKENS
        assert not any(automatic.take(Endpoint(1).unit_id, guess, "here", "key") for guess in guesses)
        assert 0 == sum((await office.registry.count()).values())
