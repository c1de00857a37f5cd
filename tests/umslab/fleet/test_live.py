# SPDX-License-Identifier: Apache-2.0
"""The live picture: what stands in it at which moment, and that it leaves the terminal as it was."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from tests.support.glances import GLANCE, glance_with
from umslab.fleet.job import Told
from umslab.fleet.live import Live, Rates, can_be_live, picture, rates_between

RATES = Rates(8.0, 7.4)
LEVELS = {"planned": 5, "onboarding": 2, "connected": 1, "managed": 30, "failed": 4, "offline": 3}


def _shown(glance: Any = GLANCE, *, failures: int = 3, rates: Rates | None = RATES) -> str:
    console = Console(record=True, width=100, file=io.StringIO())
    told = Told(levels=LEVELS, phase="onboard", seconds=12.4, failures=failures, glance=glance)
    console.print(picture(told, rates))
    return console.export_text()


def test_all_that_matters_is_in_the_picture() -> None:
    """Phase and time left, levels, rates, latencies, causes, the generator."""
    lines = [line.rstrip() for line in _shown().splitlines()]

    assert [
        "onboard  12.4 s, ends in 75.0 s at the latest",
        "devices     30 managed, 1 connected, 2 on the way, 3 offline, 4 failed, 5 to come",
        "arrivals    8.0 a second intended, 7.4 achieved; 3 overdue",
        "",
        "latencies",
        "step     count      p50      p90      p99",
        "managed     30   110 ms   520 ms   1.50 s",
        "tcp         37  1.00 ms  2.00 ms  4.00 ms",
        "",
        "3 failed tries",
        "count  cause",
        "    3  server: enrol key-refused 401",
        "",
        "generator   CPU 42% of one processor, event loop 2.00 ms late, 90.0 MiB memory",
    ] == lines


@pytest.mark.parametrize(
    ("glance", "words"),
    [
        (glance_with(paused=True), "achieved; paused"),
        (glance_with(processes=2), "of 2 processes the slowest's"),
        (glance_with(causes={"server: \x1b[2Jenrol [red]x": 1}), "enrol [red]x"),
    ],
)
def test_words_for_what_is_special(glance: Any, words: str) -> None:
    """A pause, several processes; what a peer said is harmless, and no markup."""
    shown = _shown(glance)

    assert words in shown
    assert "\x1b" not in shown


def test_what_is_not_known_is_left_out() -> None:
    """At the beginning, and where nobody knows when the phase ends."""
    begin = _shown(glance_with(left=None, steps={}, causes={}, due=0, arrived=0), failures=0)

    assert [] == [word for word in ("latencies", "failed tries", "latest", "overdue") if word in begin]
    assert "30 managed" in _shown(None)
    assert "arrivals    37 of 40 that are due" in _shown(rates=None)


def test_rates_are_those_of_the_last_seconds() -> None:
    """Not of the whole run; at the first glance of all there is."""
    later = glance_with(due=60, arrived=47)

    assert Rates(4.0, 2.0) == rates_between(10.0, GLANCE, 15.0, later)
    assert Rates(20.0, 18.5) == rates_between(2.0, GLANCE, 2.0, GLANCE)
    assert Rates() == rates_between(0.0, GLANCE, 0.0, GLANCE)


@pytest.mark.parametrize("how", [None, KeyboardInterrupt])
def test_the_terminal_is_left_in_order(how: type[BaseException] | None) -> None:
    """The cursor is back and the picture gone, whatever ended the run; what was said stays."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=80, _environ={"TERM": "xterm"})
    live = Live(console)
    try:
        with live:
            live.told(Told(say="phase 1: \x1b[2Jonboard"))
            for second in range(1, 20):
                live.told(Told(levels=LEVELS, seconds=second, glance=glance_with(due=second, arrived=second)))
            if how is not None:
                raise how
    except KeyboardInterrupt:
        pass
    written = file.getvalue()

    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")
    assert "phase 1: " in written
    assert "\x1b[2Jonboard" not in written
    assert "1.0 a second intended, 1.0 achieved" in written
    assert 10 > len(live._past)


def test_only_a_terminal_is_live(monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that can move its cursor."""
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    able = can_be_live()
    monkeypatch.setenv("TERM", "dumb")
    dumb = can_be_live()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", io.StringIO())

    assert (True, False, False) == (able, dumb, can_be_live())
