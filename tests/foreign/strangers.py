# SPDX-License-Identifier: Apache-2.0
"""Run programs that may not be there: once to the end, or in the background until they are stopped."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

REPOSITORY = Path(__file__).parents[2]
SEARCH = f"{os.environ.get('PATH', '')}:/usr/sbin"
"""nginx lives where not everybody looks."""
NODE_MODULES = REPOSITORY / "var" / "foreign" / "node_modules"
RUN_SECONDS = 30.0
START_SECONDS = 30.0
STOP_SECONDS = 15.0


@dataclass(frozen=True)
class Finished:
    """What a program left behind."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def out(self) -> str:
        """Standard output as text."""
        return self.stdout.decode("utf-8", "replace")

    @property
    def err(self) -> str:
        """Standard error as text."""
        return self.stderr.decode("utf-8", "replace")


def missing(reason: str) -> NoReturn:
    """Skip this test because something is not installed; fail when everything must be."""
    text = f"{reason} (scripts/foreign installs it)"
    if os.environ.get("UMSLAB_REQUIRE_FOREIGN", "") not in {"", "0"}:
        pytest.fail(text, pytrace=False)
    pytest.skip(text)


def _find(program: str | Path) -> str:
    found = shutil.which(program, path=SEARCH)
    return found or missing(f"{program} is not installed")


def need(*programs: str) -> None:
    """Go on only when these programs are installed."""
    for program in programs:
        _find(program)


def need_npm_package(name: str) -> None:
    """Go on only when this package of tests/foreign/npm is installed."""
    need("node")
    if not (NODE_MODULES / name / "package.json").exists():
        missing(f"the npm package {name} is not installed")


def run(*argv: str | Path, stdin: bytes = b"", env: Mapping[str, str] | None = None, check: bool = True) -> Finished:
    """Run a program to its end, with a bound; `check` makes a failure of the program one of the test."""
    done = subprocess.run(  # one argument list, no shell
        [_find(argv[0]), *map(str, argv[1:])],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=RUN_SECONDS,
        env={**os.environ, **(env or {})},
    )
    finished = Finished(done.returncode, done.stdout, done.stderr)
    if check and finished.code != 0:
        pytest.fail(f"{' '.join(map(str, argv))} ended with {finished.code}:\n{finished.err}", pytrace=True)
    return finished


class Daemon:
    """A program in the background; what it prints is collected line by line and can be waited for."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._lines: list[str] = []
        self._moved = threading.Condition()
        self._over = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._moved:
                self._lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                self._moved.notify_all()
        with self._moved:
            self._over = True
            self._moved.notify_all()

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    @property
    def log(self) -> str:
        """Everything printed so far."""
        with self._moved:
            return "\n".join(self._lines)

    def wait_for(self, pattern: str, *, after: int = 0, seconds: float = START_SECONDS) -> tuple[int, re.Match[str]]:
        """Wait for a line that matches; returns the number of lines up to it, for the next `after`."""
        give_up = time.monotonic() + seconds
        at = after
        with self._moved:
            while True:
                for at, line in enumerate(self._lines[after:], after + 1):
                    if found := re.search(pattern, line):
                        return at, found
                after = max(after, at)
                if self._over or not self._moved.wait(max(0.0, give_up - time.monotonic())):
                    state = "ended" if self._over else f"printed no such line for {seconds:g} s"
                    log = "\n".join(self._lines)
                    raise AssertionError(f"waiting for {pattern!r}: the program {state}\n{log}")

    def write(self, line: str) -> None:
        """Give the program a line of input."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait until it ends by itself; returns its exit code."""
        return self._process.wait(STOP_SECONDS)

    def stop(self) -> int:
        """Ask the program to end, insist when it does not; returns its exit code."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait(STOP_SECONDS)
        self._reader.join(STOP_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        return code


@contextmanager
def in_background(
    *argv: str | Path, env: Mapping[str, str] | None = None, inherit: Sequence[int] = ()
) -> Iterator[Daemon]:
    """Run a program as long as the block lasts; `inherit` are descriptors it gets."""
    process = subprocess.Popen(
        [_find(argv[0]), *map(str, argv[1:])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **(env or {})},
        pass_fds=inherit,
    )
    daemon = Daemon(process)
    try:
        yield daemon
    finally:
        daemon.stop()
