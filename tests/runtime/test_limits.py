# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.limits."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import pytest

from umslab_runtime.limits import Limits


def read(text: str) -> Limits:
    """Read limits as a configuration file gives them."""
    return msgspec.toml.decode(text.encode(), type=Limits)


def test_defaults_are_safe_and_within_their_own_bounds() -> None:
    """An empty configuration gives the documented defaults, and they are ones a user may write down."""
    limits = read("")

    assert Limits() == limits
    assert limits == msgspec.convert(msgspec.to_builtins(limits), Limits)
    assert (limits.header_seconds, limits.header_bytes, limits.connections) == (10.0, 16 * 1024, 19_500)


@dataclass
class Wrong:
    """A line that is refused, and a word of the reason."""

    line: str
    word: str


@pytest.mark.parametrize(
    "wrong",
    [
        Wrong("idle_seconds = 0", "> 0"),
        Wrong("idle_seconds = -1.5", "> 0"),
        Wrong("write_seconds = 86401", "<= 86400"),
        Wrong("header_bytes = 255", ">= 256"),
        Wrong("body_bytes = 67108865", "<= 67108864"),
        Wrong("connections = 0", ">= 1"),
        Wrong("handshake_steps = 1000001", "<= 1000000"),
        Wrong("handshakes = 1.5", "int"),
        Wrong("idle_second = 3", "unknown field `idle_second`"),
    ],
    ids=lambda wrong: wrong.line,
)
def test_nonsense_is_refused(wrong: Wrong) -> None:
    """A limit that would disable its own protection, or that nobody knows, is refused with the reason."""
    with pytest.raises(msgspec.ValidationError, match=wrong.word):
        read(wrong.line)
