# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.front.routes, over TLS and HTTP where a user would notice."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.server.world import config, open_world
from umslab_protocol.wire import paths
from umslab_runtime.tls import TLSBrokenError, TLSError
from umslab_server.config import EnrolmentConfig

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from tests.server.world import World

GETS = [f"{paths.EST}/cacerts", f"{paths.EST}/csrattrs", paths.CHECK_STATUS, paths.INFO]
POSTS = [f"{paths.EST}/simpleenroll", f"{paths.EST}/simplereenroll"]
DEVICE_PATHS = [*GETS[:2], *POSTS, paths.WS_CONNECT, f"{paths.EST_ALIAS}/cacerts"]


def older_context(world: World) -> ssl.SSLContext:
    """A client that speaks TLS 1.2 and nothing newer."""
    context = world.context()
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


async def test_paths_and_methods(tmp_path: Path, autojump_clock: MockClock) -> None:
    """E4, E10, E11: what is there, what is not (404), and which methods it knows (405 with Allow)."""
    async with open_world(tmp_path) as world:
        for path in GETS:
            assert (await world.call("GET", path)).status == 200, path
            refused = await world.call("POST", path, body=b"")
            assert (refused.status, refused.header("allow")) == (405, "GET, HEAD"), path
        for path in POSTS:
            refused = await world.call("GET", path)
            assert (refused.status, refused.header("allow")) == (405, "POST"), path
            assert (await world.call("HEAD", path)).status == 405, path
        for path in (
            "/",
            "/info/",
            "/INFO",
            "/%69nfo",
            f"{paths.EST}/serverkeygen",
            "/umsapi/v3/serverstatus",
            "/webapp",
        ):
            assert (await world.call("GET", path)).status == 404, path
        for method in ("DELETE", "PUT", "OPTIONS", "PATCH"):
            assert (await world.call(method, paths.INFO)).status == 405, method


async def test_head(tmp_path: Path, autojump_clock: MockClock) -> None:
    """R10: HEAD is answered wherever GET is, with the length and without the body."""
    async with open_world(tmp_path) as world:
        for path in GETS:
            head, get = await world.call("HEAD", path), await world.call("GET", path)

            assert (head.status, head.body) == (200, b"")
            assert head.header("content-length") == get.header("content-length") == str(len(get.body))


async def test_query_is_read_over(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A monitor that adds a query finds the page."""
    async with open_world(tmp_path) as world:
        assert (await world.call("GET", f"{paths.CHECK_STATUS}?x=1")).status == 200


async def test_says_what_it_is(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Every answer names the simulation."""
    async with open_world(tmp_path) as world:
        answer = await world.call("GET", "/nothing")

        assert answer.header("server") == "umslab/test (simulation; not IGEL)"


@pytest.mark.parametrize("alias", [True, False])
async def test_alias(tmp_path: Path, autojump_clock: MockClock, *, alias: bool) -> None:
    """RFC 7030's own place is offered unless it is switched off."""
    enrolment = EnrolmentConfig(alias=alias)
    async with open_world(tmp_path, config(enrolment=enrolment)) as world:
        answer = await world.call("GET", "/.well-known/est/cacerts")

        assert answer.status == (200 if alias else 404)


async def test_tls_1_2_is_refused(tmp_path: Path, autojump_clock: MockClock) -> None:
    """T2: by default nobody gets in with TLS 1.2."""
    async with open_world(tmp_path) as world:
        with pytest.raises((TLSError, TLSBrokenError)):
            await world.call("GET", paths.INFO, context=older_context(world))


async def test_tls_1_2_by_opt_in(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Other clients get in with TLS 1.2, to what is for them; device paths stay TLS 1.3."""
    chosen = msgspec.structs.replace(config(), tls_min="1.2")
    async with open_world(tmp_path, chosen) as world:
        context = older_context(world)
        for path in (paths.INFO, paths.CHECK_STATUS):
            assert (await world.call("GET", path, context=context)).status == 200, path
        for path in DEVICE_PATHS:
            method = "POST" if path in POSTS else "GET"
            refused = await world.call(method, path, context=context, body=b"" if method == "POST" else None)
            assert refused.status == 403, path
            assert b"TLS 1.3" in refused.body
        assert (await world.call("GET", "/nothing", context=context)).status == 404
        assert (await world.call("GET", DEVICE_PATHS[0])).status == 200
