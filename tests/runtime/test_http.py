# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.http."""

from __future__ import annotations

import pytest

from umslab_runtime.http import Peer, Request, Response, retry_after, text_response
from umslab_runtime.streams import Address

PEER = Peer(Address("127.0.0.1", 1))


def test_first_header_counts() -> None:
    """A request's header is found by its lower-case name; the first of several counts."""
    request = Request("GET", "/", "", [("host", "one"), ("x", "1"), ("x", "2")], b"", PEER)

    assert [request.header("host"), request.header("x"), request.header("y")] == ["one", "1", None]


def test_response_headers_are_found_in_any_case() -> None:
    """A response's header is found however it is written."""
    response = Response(200, [("Content-Type", "a"), ("CONTENT-TYPE", "b")])

    assert [
        response.header("content-type"),
        response.header("Content-TYPE"),
        response.header("Date"),
    ] == ["a", "a", None]


def test_refusals_are_readable() -> None:
    """A text answer is one line for people, with its own headers behind the type."""
    response = text_response(403, "this key is spent, Jürgen: ask for another", [("X", "y")])

    assert "this key is spent, Jürgen: ask for another\n".encode() == response.body
    assert response.headers == [("Content-Type", "text/plain; charset=utf-8"), ("X", "y")]


@pytest.mark.parametrize(("seconds", "text"), [(0.0, "1"), (0.2, "1"), (1.0, "1"), (1.01, "2"), (3600, "3600")])
def test_retry_after_rounds_up(seconds: float, text: str) -> None:
    """Nobody is asked to come back too early, or at once."""
    assert ("Retry-After", text) == retry_after(seconds)
