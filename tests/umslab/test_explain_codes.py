# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab.explain_codes."""

from __future__ import annotations

import pytest

from umslab.explain_codes import explain_code
from umslab.facts import load_facts
from umslab_protocol.values.failure import VENDOR_CODES, Confidence, Phase, Reason


@pytest.mark.parametrize("code", VENDOR_CODES)
def test_every_code(code: int) -> None:
    """Each of the vendor's codes has its meaning."""
    found = explain_code(code, load_facts())

    assert found is not None
    assert VENDOR_CODES[code] == found.meaning


def test_reasons_and_facts() -> None:
    """Ours with their confidence; facts by what their text says."""
    found = explain_code(37, load_facts())

    assert found is not None
    assert (Phase.TRUST, Reason.INTERCEPTED, Confidence.DOCUMENTED) in found.reasons
    assert {"T16", "C31", "X2"} <= {fact.number for fact in found.facts}


@pytest.mark.parametrize("code", [-1, 0, 29, 31, 48])
def test_codes_that_are_none(code: int) -> None:
    """31 is not in the vendor's list either."""
    assert None is explain_code(code, load_facts())
