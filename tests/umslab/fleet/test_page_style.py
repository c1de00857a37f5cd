# SPDX-License-Identifier: Apache-2.0
"""The style of the page knows every colour that is drawn with, by day and by night."""

from __future__ import annotations

import re

from tests.support.fleet_runs import run_report, storm
from umslab.fleet.page import page
from umslab.fleet.page_style import STYLE
from umslab_agent.fleet.blame import Side
from umslab_agent.fleet.measured import Step


def test_every_colour_is_known() -> None:
    """What is used is defined twice: light and dark."""
    used = set(re.findall(r"var\(--([a-z-]+)\)", page(run_report(storm()))))
    used |= {f"step-{step}" for step in Step} | {f"side-{side}" for side in Side}
    light, dark = STYLE.split("prefers-color-scheme: dark")
    missing = [name for name in used for half in (light, dark) if f"--{name}:" not in half]

    assert [] == missing


def test_nothing_from_outside() -> None:
    """No font, no picture, no import, and nothing that ends the element it stands in."""
    assert not re.search(r"url\(|@import|@font-face|<", STYLE)
