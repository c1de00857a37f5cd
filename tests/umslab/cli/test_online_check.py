# SPDX-License-Identifier: Apache-2.0
"""`umslab online-check` as a user meets it, alone and through a server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.here import run_here
from tests.support.neighbours import neighbours, unit_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.process import ServerProcess

ADDRESSES = ["127.3.1.1", "127.3.1.2"]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Two devices."""
    with neighbours(ADDRESSES) as port:
        yield port


def _check(*arguments: str) -> Any:
    return run_here("online-check", *arguments)


def test_devices_are_asked_alone(port: int) -> None:
    """All there: exit code 0, with times."""
    named = [f"{unit_id(number)}@{ADDRESSES[number - 1]}:{port}" for number in (1, 2)]
    done = _check(*named, "--json", "--timeout", "10")
    report = json.loads(done.stdout)["online_check"]

    assert (0, "") == (done.returncode, done.stderr)
    assert {"online": 2} == report["counts"]
    assert all(one["milliseconds"] > 0 for one in report["devices"])


def test_who_is_not_there_and_who_may_not_be_asked(port: int) -> None:
    """Exit code 3; a refused address is unknown, not offline."""
    done = _check(
        f"{unit_id(1)}@{ADDRESSES[0]}:{port}", f"{unit_id(2)}@{ADDRESSES[0]}:{port}", f"{unit_id(3)}@10.1.2.3",
        "--timeout", "0.2", "--tries", "2",
    )  # fmt: skip

    assert 3 == done.returncode
    assert "1 offline, 1 online, 1 unknown" in done.stdout
    assert "--i-own 10.1.2.3" in done.stdout
    assert "1 of 3 have answered" == done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("020000000001@gone.example",), "at an IPv4 address"),
        (("x@127.0.0.1",), "not a unit ID"),
        (("020000000001@127.0.0.1", "020000000002"), "name all devices with @ADDRESS"),
        (("020000000001@127.0.0.1", "--all"), "name all devices with @ADDRESS"),
        (("020000000001@127.0.0.1", "020000000001@127.0.0.2"), "named twice"),
        (("020000000001@127.0.0.1", "--i-own", "x"), "--i-own takes IPv4 addresses"),
        (("020000000001@127.0.0.1", "--timeout", "0.05"), "--timeout"),
        (("020000000001@127.0.0.1", "--timeout", "10.5"), "--timeout"),
        (("020000000001@127.0.0.1", "--parallel", "0"), "--parallel"),
        ((), "which devices"),
    ],
)
def test_bad_arguments(arguments: tuple[str, ...], words: str) -> None:
    """One line each, exit code 2."""
    done = _check(*arguments)

    assert 2 == done.returncode
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_through_the_server(server: ServerProcess, tmp_path: Path) -> None:
    """A server that knows nobody says so; without a server there is a hint."""
    done = _check("--all", "--state", str(server.state))
    nobody = _check("--all", "--state", str(tmp_path))

    assert (0, "no devices\nnobody was asked\n") == (done.returncode, done.stdout)
    assert 1 == nobody.returncode
    assert "no server runs" in nobody.stderr


def test_help() -> None:
    """With examples to copy."""
    done = _check("--help")

    assert (0, "") == (done.returncode, done.stderr)
    assert 3 == sum(line.strip().startswith("umslab online-check") for line in done.stdout.splitlines())
