# SPDX-License-Identifier: Apache-2.0
"""`umslab` run to its end within this process: most of a short command's time is the start of a Python.

For commands that are asked and answer. What is killed, interrupted, or tunes its process needs one of its own
(`tests.support.process`); so does, once for each verb, what only a process has: documents, foreign programs and
tests/integration start every verb as its user would.
"""

from __future__ import annotations

import gc
import os
import resource
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from tests.support.process import clean_environment
from umslab.cli import main

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def run_here(
    *arguments: str, cwd: Path | None = None, stdin: str = "", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, like `run_umslab`; an exception that would be a traceback is the caller's."""
    logs, tuned = structlog.get_config(), _tuned()
    command = ["umslab", *arguments]
    with (
        TemporaryFile("w+", encoding="utf-8") as given,
        TemporaryFile("w+", encoding="utf-8") as out,
        TemporaryFile("w+", encoding="utf-8", errors="backslashreplace") as error,
        pytest.MonkeyPatch.context() as here,
        redirect_stdout(out),
        redirect_stderr(error),
    ):
        given.write(stdin)
        given.seek(0)
        here.setattr(sys, "argv", command)
        here.setattr(sys, "stdin", given)
        for name in os.environ.keys() - clean_environment().keys():
            here.delenv(name)
        for name, value in (environment or {}).items():
            here.setenv(name, value)
        if cwd is not None:
            here.chdir(cwd)
        try:
            code = _exit_code()
        finally:
            structlog.configure(**logs)
        assert tuned == _tuned(), f"{command} changes this process: use run_umslab"
        out.seek(0)
        error.seek(0)
        return subprocess.CompletedProcess(command, code, out.read(), error.read())


def _exit_code() -> int:
    try:
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    raise AssertionError("a verb ends with an exit code")


def _tuned() -> tuple[Any, ...]:
    """What a long-running verb changes for its whole process, and nobody puts back."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    return gc.get_threshold(), sys.getswitchinterval(), limits
