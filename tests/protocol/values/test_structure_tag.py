# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.values.structure_tag."""

from __future__ import annotations

import pytest

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.structure_tag import MAX_TAG_CHARACTERS, parse_structure_tag


@pytest.mark.parametrize("tag", ["", "Augsburg", "Köln / 2. Stock", "東京", "t" * MAX_TAG_CHARACTERS])
def test_accepts(tag: str) -> None:
    """Free text, as the vendor has it; the empty one means none."""
    assert tag == parse_structure_tag(tag)


@pytest.mark.parametrize("tag", ["t" * (MAX_TAG_CHARACTERS + 1), "line\n", "tab\t", "nul\0", "\x1b[31mred", "\ud800"])
def test_refuses(tag: str) -> None:
    """Too long, or something that would do mischief in a terminal; the message names the limit."""
    with pytest.raises(InvalidValueError, match="printable text of at most 100 characters"):
        parse_structure_tag(tag)
