# SPDX-License-Identifier: Apache-2.0
"""A server repeats ids, and nothing else that stands in their place."""

from __future__ import annotations

import pytest

from umslab_protocol.wire.request_id import REQUEST_HEADER, repeated_headers


@pytest.mark.parametrize("text", ["02AABBCCDDEE-1", "a", "x" * 64, "A.b_c-9"])
def test_repeated(text: str) -> None:
    """As it came."""
    assert [(REQUEST_HEADER, text)] == repeated_headers([("host", "ums"), ("umslab-request", text)])


@pytest.mark.parametrize("text", ["", "x" * 65, "a b", "a\nb", "ä", '<script>"'])
def test_not_repeated(text: str) -> None:
    """What is no id; and a request without one has none repeated."""
    assert [] == repeated_headers([("umslab-request", text)])
    assert [] == repeated_headers([("host", "ums")])
