# SPDX-License-Identifier: Apache-2.0
"""docs/discovery.md names every reason, and every fact it cites stands in docs/facts.md."""

from __future__ import annotations

import re

import pytest

from tests.docs.generate import ROOT
from umslab.facts import load_facts
from umslab_protocol.machines.dhcp_events import Ignored
from umslab_protocol.wire.dhcp_options import DhcpProblem
from umslab_runtime.dhcp_runner import Outcome
from umslab_runtime.dns import DnsProblem

TEXT = (ROOT / "docs" / "discovery.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("reason", [*DhcpProblem, *Ignored, *Outcome])
def test_reasons_are_explained(reason: str) -> None:
    """One row each."""
    assert re.search(rf"(?m)^\| `{reason}` \| \w", TEXT)


@pytest.mark.parametrize("reason", [*DnsProblem, "leased", "renewed", "informed", "lost", "unanswered", "released"])
def test_reasons_of_events_are_explained(reason: str) -> None:
    """In a row, maybe with others."""
    assert re.search(rf"(?m)^\| (`[a-z-]+`, )*`{reason}`", TEXT)


def test_facts_are_known() -> None:
    """A reader can look up what is cited; D99 is the example of one that is not there."""
    cited = set(re.findall(r"\b((?:D|NP|P)\d{1,2}a?)\b", TEXT)) - {"D99"}

    assert {"D2", "D5", "NP15"} <= cited
    assert cited <= {fact.number for fact in load_facts().values()}
