# SPDX-License-Identifier: Apache-2.0
"""`umslab fleet` lists its verbs."""

from __future__ import annotations

from tests.support.here import run_here


def test_help() -> None:
    """With examples to copy."""
    done = run_here("fleet", "--help")

    assert 0 == done.returncode
    for words in ("report", "compare", "umslab fleet compare flat.json backoff.json"):
        assert words in done.stdout
