# SPDX-License-Identifier: Apache-2.0
"""The page says everything, loads nothing, and takes nothing that a peer said for its own."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import msgspec

from tests.support.fleet_runs import MACHINE, run_report, storm
from umslab.fleet.page import page
from umslab_agent.fleet.measured import Measured
from umslab_agent.fleet.report import Backend, PlanIdentity, ShardRun

_VOID = {"meta", "br", "link", "img", "input", "hr"}
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\x1b[31m\u202e"


class _Reader(HTMLParser):
    """Keeps tags, attributes and text, and checks that what is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert [] == self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert tag == self._open.pop()

    def handle_data(self, data: str) -> None:
        self.text += data


def test_everything_is_said() -> None:
    """What was planned, measured, missed and on what it ran, under headings in order."""
    report = run_report(thresholds=("managed.p99 < 1us", "failed < 1%"))
    read = _Reader(page(report))

    for words in (
        "server-restart", "1 of 2 thresholds missed", "no statement about a real UMS", "60 of 60", "50 % managed after",
        "99.9", "HTTP 502: Bad Gateway", "start it", "OpenSSL 3.0.22", "It kept up", "ab" * 32, "not affiliated",
        "exponential 1-300 s", "2026-01-01 08:00:00 UTC",
    ):  # fmt: skip
        assert words in read.text, words
    assert 1 == read.tags.count("h1")
    assert ["h1", *["h2"] * 7] == [tag for tag in read.tags if re.fullmatch(r"h\d", tag)]


def test_nothing_is_loaded_and_nothing_runs() -> None:
    """No address, no script, and a policy that forbids both."""
    text = page(run_report())
    read = _Reader(text)

    assert not {"script", "link", "img", "iframe", "object", "form"} & set(read.tags)
    assert not [name for name, _ in read.attributes if name.startswith("on") or name in {"src", "href", "srcset"}]
    assert "url(" not in text
    assert "http://" not in text
    assert "https://" not in text
    assert "default-src 'none'" in str([value for _, value in read.attributes])


def test_every_drawing_has_words() -> None:
    """Charts have a role and a label; decoration is hidden from those who listen."""
    text = page(run_report())

    assert text.count('class="chart"') == text.count('role="img"') == text.count("aria-label=")
    assert text.count("<svg") == text.count('role="img"') + text.count('aria-hidden="true"')


def test_what_others_said_stays_text() -> None:
    """Names, examples, headers: escaped, and made printable."""
    measured = storm()
    measured.failures[0].example = measured.failures[0].hint = HOSTILE
    measured.phases[0].name = HOSTILE[:60]
    report = run_report(measured, backend=Backend(HOSTILE, HOSTILE, HOSTILE))
    report.plan = PlanIdentity("ab" * 32, HOSTILE, 1, 60, [HOSTILE], HOSTILE)
    report.shards = [ShardRun(1, "2026-01-01T08:00:00Z", 1.0, msgspec.structs.replace(MACHINE, system=HOSTILE))]
    report.notes = [HOSTILE]
    text = page(report)
    read = _Reader(text)

    assert not {"script", "img"} & set(read.tags)
    assert "alert(1)" in read.text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_warnings() -> None:
    """A generator at its end, shards that are missing, an interruption: above everything else."""
    report = run_report(storm(cpu=1.5), number=2, of=3)
    report.shards = [msgspec.structs.replace(report.shards[0], interrupted=True)]
    text = _Reader(page(report)).text
    before = text[: text.index("Devices over time")]

    assert "The generator was the bottleneck" in before
    assert "1 of 3 shards" in before
    assert "Interrupted" in before
    assert "not everything succeeded" in before
    assert "no sign that it was the bottleneck" not in text


def test_a_real_server_gets_no_disclaimer() -> None:
    """It is one about the simulation."""
    assert "no statement" not in page(run_report(backend=Backend("ums.example:8443")))


def test_a_run_in_which_nothing_happened() -> None:
    """Has a page, too."""
    text = _Reader(page(run_report(Measured()))).text

    assert "No step was completed." in text
    assert "None." in text


def test_sentences_have_room() -> None:
    """In tables of many columns what is short stays in one line, and what is long is not squeezed to syllables."""
    text = page(run_report())

    assert '<td class="short">unreachable</td>' in text
    assert '<td class="long">HTTP 503: the server is busy</td>' in text
