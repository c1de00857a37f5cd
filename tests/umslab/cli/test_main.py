# SPDX-License-Identifier: Apache-2.0
"""What every verb has in common: help with examples, versions, clear errors, exit codes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.here import run_here
from tests.support.process import clean_environment, run_umslab

VERBS = [
    (),
    ("serve",),
    ("device",),
    ("demo",),
    ("ctl",),
    ("ctl", "keys"),
    ("ctl", "keys", "create"),
    ("ctl", "devices"),
    ("ctl", "devices", "import"),
    ("ctl", "certs"),
    ("ctl", "events"),
    ("ctl", "backup"),
    ("ctl", "restore"),
    ("certs",),
    ("certs", "import-web"),
]


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_help(verb: tuple[str, ...]) -> None:
    """--help and -h explain every verb and exit 0."""
    for flag in ("--help", "-h"):
        done = run_here(*verb, flag)

        assert (0, "") == (done.returncode, done.stderr)
        assert "Usage:" in done.stdout


@pytest.mark.parametrize("verb", ["serve", "device", "ctl", "certs"])
def test_help_has_examples(verb: str) -> None:
    """A user who asks for help sees commands to copy, each on its own line."""
    done = run_here(verb, "--help")
    examples = [line for line in done.stdout.splitlines() if line.strip().startswith(f"umslab {verb} ")]

    assert len(examples) >= 2


def test_version_says_what_it_is_and_is_not() -> None:
    """Version, Python, OpenSSL, and that nobody is affiliated."""
    done = run_umslab("--version")

    assert 0 == done.returncode
    assert done.stdout.startswith("umslab 0.")
    assert "OpenSSL" in done.stdout
    assert "not affiliated with IGEL" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("serv",),
        ("serve", "--no-such-flag"),
        ("serve", "--port", "70000"),
        ("serve", "--set", "nonsense"),
        ("serve", "--set", "no.such=1"),
        ("serve", "--listen", "localhost"),
        ("serve", "--listen", "0.0.0.0"),
        ("serve", "--log-level", "loud"),
        ("serve", "--config", "/no/such/file.toml"),
        ("device", "--sources", "nonsense"),
        ("device", "a b"),
        ("device", "localhost", "--server", "localhost"),
        ("device", "localhost", "--token", "xyz"),
        ("device", "localhost", "--ca-hash", "xyz"),
        ("device", "localhost", "--unit-id", "xyz"),
        ("device", "localhost", "--firmware", "new"),
        ("device", "localhost", "--auth-key", "with space"),
        ("device", "localhost", "--key-type", "rsa-1024"),
        ("device", "localhost"),
        ("ctl", "keys", "create", "--kind", "eternal"),
    ],
    ids=" ".join,
)
def test_usage_errors_exit_2_with_one_sentence(
    arguments: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A wrong command line is told in words, never in a traceback, and leaves nothing behind."""
    path = tmp_path_factory.mktemp("usage")
    done = run_here(*arguments, cwd=path)

    assert 2 == done.returncode
    assert "Traceback" not in done.stderr
    assert 0 < len(done.stderr.strip().splitlines()) <= 12


def test_bytes_that_are_no_text() -> None:
    """An argument that is no UTF-8 is named and refused."""
    done = run_umslab("ctl", "why", "\udcff")

    assert 2 == done.returncode
    assert "Traceback" not in done.stderr
    assert "is not UTF-8 text" in done.stderr


@pytest.mark.parametrize("name", ["UMSLAB_SERVE_PROT", "UMSLAB_SERVE_LIMITS__HEADERS"])
def test_a_misspelled_variable_is_not_ignored(name: str) -> None:
    """A setting that has no effect is an error."""
    done = run_umslab("serve", environment={name: "1"})

    assert 2 == done.returncode
    assert name in done.stderr


@pytest.mark.parametrize(
    ("verb", "unwanted"),
    [
        ((), ("trio", "rich", "cryptography", "structlog", "sqlalchemy", "pydantic")),
        (("ctl", "devices", "list"), ("rich", "structlog", "sqlalchemy", "h11", "umslab_agent")),
    ],
    ids=" ".join,
)
def test_only_what_is_asked_for_is_loaded(verb: tuple[str, ...], unwanted: tuple[str, ...]) -> None:
    """A script that calls the command in a loop does not wait for libraries that it does not use."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "umslab", *verb, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env=clean_environment(),
    )
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}

    assert set() == loaded & set(unwanted)
    assert "umslab" in loaded
