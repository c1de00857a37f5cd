# SPDX-License-Identifier: Apache-2.0
"""What peers say does no harm to a terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from umslab.printable import is_utf8, printable


def test_escape_sequences_are_shown_not_obeyed() -> None:
    """A device that calls itself a control sequence paints nobody's terminal."""
    assert printable("\x1b[2Jhello\n") == r"\x1b[2Jhello\n"
    assert printable("a\u202eb") == r"a\u202eb"


def test_plain_text_stays() -> None:
    """Umlauts and other scripts are text."""
    assert printable("Bremen, Büro 3 — 日本") == "Bremen, Büro 3 — 日本"


@given(st.text())
def test_everything_comes_out_printable(text: str) -> None:
    """For any text."""
    assert printable(text).isprintable()


def test_bytes_that_are_no_text() -> None:
    """As Python hands them over from a command line."""
    assert is_utf8("Bremen, Büro 3")
    assert not is_utf8(b"\xff".decode(errors="surrogateescape"))
