# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.front.pages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.server.parts import EPOCH, YEAR, Office, peer
from umslab_runtime.http import Request
from umslab_server.front.pages import Pages
from umslab_server.status import StatusMonitor

if TYPE_CHECKING:
    from trio.testing import MockClock

GET = Request("GET", "/", "", [], b"", peer(None))


def pages(office: Office, *, web_lasts: bool = True) -> Pages:
    """The pages of a server whose web certificate lasts, or does not."""
    expires = EPOCH + YEAR if web_lasts else EPOCH - YEAR
    return Pages(StatusMonitor(office.store, clock=office.clock, web_expires=lambda: expires), "1.2.3")


async def test_status_is_one_key(office: Office) -> None:
    """ST1: 200 and a JSON object with the one key `status`, never cached; `init` before the first look."""
    answer = await pages(office).check_status(GET)

    assert (answer.status, json.loads(answer.body)) == (200, {"status": "init"})
    assert answer.header("content-type") == "application/json"
    assert answer.header("cache-control") == "no-store"


async def test_status_words(office: Office, autojump_clock: MockClock) -> None:
    """200 whatever the state is."""
    good, bad = pages(office), pages(office, web_lasts=False)
    await good._status.recompute()
    await bad._status.recompute()
    answers = [await page.check_status(GET) for page in (good, bad)]

    assert [answer.status for answer in answers] == [200, 200]
    assert [answer.body for answer in answers] == [b'{"status":"ok"}', b'{"status":"err"}']


async def test_info(office: Office) -> None:
    """E11: monitors find the product's name, people find that it is not the product."""
    text = (await pages(office).info(GET)).body.decode()

    assert "IGEL Universal Management Suite" in text
    assert "1.2.3" in text
    assert "simulation" in text
    assert "not affiliated with IGEL" in text
