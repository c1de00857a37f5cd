# SPDX-License-Identifier: Apache-2.0
"""`umslab explain` as a user meets it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.here import run_here


def _explain(*arguments: str) -> Any:
    return run_here("explain", *arguments)


def test_help() -> None:
    """With examples to copy."""
    done = _explain("--help")

    assert (0, "") == (done.returncode, done.stderr)
    assert 4 == sum(line.strip().startswith("umslab explain ") for line in done.stdout.splitlines())


def test_ports_by_generation() -> None:
    """30001 is for OS 11, 8443 with TLS 1.3 for OS 12; servers among themselves are always there."""
    eleven, twelve, both = (_explain("ports", "--os", which).stdout for which in ("11", "12", "11,12"))

    assert "30001" in eleven
    assert "30001" not in twelve
    assert "TLS 1.3" in twelve
    assert "30001" in both
    for text in (eleven, twelve, both):
        assert "61616" in text
        assert "Guide" in text
    assert both == _explain("ports").stdout


def test_ports_for_machines() -> None:
    """Each row has its fact, source and confidence."""
    rows = json.loads(_explain("ports", "--json").stdout)["ports"]

    assert 23 == len(rows)
    assert all(row["fact"] and row["source"] and row["confidence"] for row in rows)


def test_codes() -> None:
    """Meaning, our reasons, and the facts that speak of it."""
    done = _explain("38")
    shown = json.loads(_explain("38", "--json").stdout)["code"]

    assert 0 == done.returncode
    for word in ("the enrolment failed", "enrol: any other (documented)", "RB4:"):
        assert word in done.stdout
    assert (38, "the enrolment failed") == (shown["code"], shown["meaning"])
    assert "no failure" in _explain("33").stdout


@pytest.mark.parametrize("what", ["D5", "d5", " D5 "])
def test_facts(what: str) -> None:
    """In any case."""
    done = _explain(what)

    assert 0 == done.returncode
    for word in ("exclusive", "Notes OS 11.04.131", "documented by the vendor", "Discovery"):
        assert word in done.stdout
    assert "D5" == json.loads(_explain(what, "--json").stdout)["fact"]["number"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("31",), "31 is not one of the vendor's onboarding error codes: 30, 32"),
        (("99999999",), "is not one of"),
        (("D99",), "nothing is known about 'D99'"),
        (("port",), "did you mean ports?"),
        (("x\x1b[2J",), "fact number"),
        (("\u00b2",), "fact number"),
        (("ports", "--os", "10"), "11,12"),
        ((), "WHAT"),
    ],
)
def test_unknown(arguments: tuple[str, ...], word: str) -> None:
    """Exit code 2, and what would be known."""
    done = _explain(*arguments)

    assert 2 == done.returncode
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr
