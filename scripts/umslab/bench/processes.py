# SPDX-License-Identifier: Apache-2.0
"""The worker processes of a benchmark, as their parent sees them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class Worker:
    """A worker process that is told what to do in JSON lines."""

    def __init__(self, role: str, folder: Path, *, namespace: str = "") -> None:
        """`namespace`: the network namespace in which it works; none: where its parent is."""
        inside = ["ip", "netns", "exec", namespace] if namespace else []
        command = [*inside, sys.executable, "-m", "umslab.bench.worker", role, str(folder)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603

    def answer(self) -> dict[str, Any]:
        """Read one line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a benchmark worker ended early; its error is above")
        return dict(json.loads(line))

    def do(self, what: str, **details: Any) -> dict[str, Any]:
        """Order something and wait for the answer."""
        assert self._process.stdin is not None
        print(json.dumps({"do": what, **details}), file=self._process.stdin, flush=True)
        return self.answer()

    def stop(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
