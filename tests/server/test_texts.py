# SPDX-License-Identifier: Apache-2.0
"""What people attach to things can be shown and typed again."""

from __future__ import annotations

import pytest

from umslab_server.errors import RefusedError
from umslab_server.texts import MAX_CHARACTERS, check_name, check_text


@pytest.mark.parametrize("text", ["", " ", "behind the counter", "Büro 3", "x" * MAX_CHARACTERS])
def test_texts(text: str) -> None:
    """Printable ones, also none at all."""
    check_text("comment", text)


@pytest.mark.parametrize("text", ["a\nb", "\x1b[31m", "\0", "\u202e", "\udcff", "x" * (MAX_CHARACTERS + 1)])
def test_no_texts(text: str) -> None:
    """What a terminal would obey, or no table could show; nor can it be a name."""
    with pytest.raises(RefusedError, match="comment: printable"):
        check_text("comment", text)
    with pytest.raises(RefusedError, match="a job has a name"):
        check_name("a job", text)


@pytest.mark.parametrize("name", ["", " ", " x", "x "])
def test_no_names(name: str) -> None:
    """What nobody sees is no part of a name."""
    with pytest.raises(RefusedError, match="a view has a name of 1 to 255"):
        check_name("a view", name)


def test_names() -> None:
    """Anything that can be typed."""
    check_name("a view", "lost devices (30 days)")
