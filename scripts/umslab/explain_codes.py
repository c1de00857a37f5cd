# SPDX-License-Identifier: Apache-2.0
"""What an onboarding error code of IGEL OS means (section 3.6 of our notes), and for which reasons umslab shows it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from umslab_protocol.values.failure import VENDOR_CODES, Confidence, Phase, Reason, code_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from umslab.facts import Fact


@dataclass(frozen=True, slots=True)
class CodeExplanation:
    """A code, the vendor's meaning, our reasons for it, and the facts that speak of it."""

    code: int
    meaning: str
    reasons: tuple[tuple[Phase, Reason | None, Confidence], ...]
    facts: tuple[Fact, ...]


def explain_code(code: int, facts: Mapping[str, Fact]) -> CodeExplanation | None:
    """Explain a code; None when the vendor's list does not have it."""
    if code not in VENDOR_CODES:
        return None
    named = re.compile(rf"\b(?:error|code)s? {code}\b|\(codes? {code}\)|\({code}\)", re.IGNORECASE)
    return CodeExplanation(
        code,
        VENDOR_CODES[code],
        tuple((phase, reason, confidence) for phase, reason, number, confidence in code_table() if number == code),
        tuple(fact for fact in facts.values() if named.search(fact.text)),
    )
