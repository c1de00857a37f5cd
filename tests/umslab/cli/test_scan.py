# SPDX-License-Identifier: Apache-2.0
"""`umslab scan` and `umslab ctl scan` as a user meets them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.here import run_here
from tests.support.neighbours import neighbours, unit_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.process import ServerProcess

ADDRESSES = ["127.3.2.1", "127.3.2.2", "127.3.2.3"]


@pytest.fixture(scope="module")
def port() -> Iterator[str]:
    """Three devices."""
    with neighbours(ADDRESSES) as port:
        yield str(port)


def _scan(*arguments: str) -> tuple[int, dict[str, Any]]:
    done = run_here(*arguments, "--json", "--timeout", "1")
    assert "" == done.stderr
    return done.returncode, json.loads(done.stdout)["scan"]


@pytest.mark.parametrize(
    ("ranges", "found"),
    [
        (("127.3.2.0/24",), [1, 2, 3]),
        (("127.3.2.2-3",), [2, 3]),
        (("127.255.255.255",), [1, 2, 3]),
        (("127.3.2.1", "--tcp"), [1]),
        (("127.3.2.9",), []),
    ],
)
def test_who_is_found(ranges: tuple[str, ...], found: list[int], port: str) -> None:
    """Exactly those that are there; nobody is exit code 3."""
    code, report = _scan("scan", *ranges, "--port", port)

    assert [unit_id(number) for number in found] == [one["unit_id"] for one in report["devices"]]
    assert (0 if found else 3) == code


def test_server_says_whom_it_knows(server: ServerProcess, port: str) -> None:
    """Beside a scan of ours, and in one of its own."""
    for verb in (("scan",), ("ctl", "scan")):
        _, report = _scan(*verb, "127.3.2.1", "--port", port, "--state", str(server.state))

        assert ["new"] == [one["known"] for one in report["devices"]]
    _, alone = _scan("scan", "127.3.2.1", "--port", port)
    assert [None] == [one["known"] for one in alone["devices"]]


def test_table(port: str) -> None:
    """For people; progress goes to standard error."""
    done = run_here("scan", "127.3.2.0/28", "127.3.2.200", "8.8.8.8", "--port", port, "--timeout", "0.5")

    assert 0 == done.returncode
    assert all(unit_id(number) in done.stdout for number in (1, 2, 3))
    assert "not asked: 8.8.8.8" in done.stdout
    assert "addresses asked" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 1, "only inside a network namespace"),
        (("8.8.8.8",), 1, "public address"),
        (("x",), 2, "is not a range"),
        (("10.0.0.0/8",), 2, "more than 65536"),
        (("127.0.0.1", "--i-own", "x"), 2, "--i-own"),
        (("--tcp",), 2, "name ranges"),
    ],
)
def test_what_cannot_be_scanned(arguments: tuple[str, ...], code: int, words: str) -> None:
    """One sentence each."""
    done = run_here("scan", *arguments, "--timeout", "0.1")

    assert code == done.returncode
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("x",), 2, "is not a range"),
        (("127.0.0.1", "--register", "x"), 2, "is not a unit ID"),
        (("127.0.0.1", "--by-rules"), 2, "--register-all-new"),
        (("127.0.0.1", "--register-all-new", "--tcp"), 1, "without --tcp"),
        ((), 1, "only inside a network namespace"),
        (("8.8.8.8",), 1, "public address"),
        (("--tcp",), 1, "name ranges"),
        (("127.3.2.200", "--register", "020000000001"), 3, "020000000001: not registered: the scan has not found it"),
    ],
)
def test_what_the_server_cannot_scan(server: ServerProcess, arguments: tuple[str, ...], code: int, words: str) -> None:
    """One sentence each here too."""
    done = run_here("ctl", "scan", *arguments, "--timeout", "0.1", "--state", str(server.state))

    assert code == done.returncode
    assert words in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("verb", "examples"), [(("scan",), 4), (("ctl", "scan"), 4)])
def test_help(verb: tuple[str, ...], examples: int) -> None:
    """With examples to copy."""
    done = run_here(*verb, "--help")

    assert 0 == done.returncode
    assert examples == sum(
        f"umslab {' '.join(verb)}" in line for line in done.stdout.split("Examples:")[1].splitlines()
    )
