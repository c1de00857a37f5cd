# SPDX-License-Identifier: Apache-2.0
"""Where this process is: in the machine's own network, in some other network namespace, or in one umslab made.

The marker is the name: umslab and its tests call what they make `umslab-...` (`ip netns add umslab-lab`), and the
kernel says whether this process is in one. Neither a variable nor a file can claim it. When in doubt: the machine.
"""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

MADE_PREFIX = "umslab-"
NAMED = Path("/run/netns")
PROC = Path("/proc")


class Whereabouts(IntEnum):
    """How far packets of this process may get; the more, the safer."""

    MACHINE = 0
    """The machine's own network, or one of which nothing is known."""
    APART = 1
    """A network namespace of somebody."""
    MADE = 2
    """A network namespace that umslab made."""


def whereabouts(*, named: Path = NAMED, proc: Path = PROC) -> Whereabouts:
    """Ask the kernel."""
    here = _identity(proc / "self" / "ns" / "net")
    first = _identity(proc / "1" / "ns" / "net")
    if here is None or here == first:
        return Whereabouts.MACHINE
    try:
        names = [path.name for path in named.iterdir() if _identity(path) == here]
    except OSError:
        names = []
    if any(name.startswith(MADE_PREFIX) for name in names):
        return Whereabouts.MADE
    return Whereabouts.APART if names or first is not None else Whereabouts.MACHINE


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found: os.stat_result = path.stat()
    except OSError:  # no such namespace, or not ours to see
        return None
    return found.st_dev, found.st_ino
