# SPDX-License-Identifier: Apache-2.0
"""A benchmark's worker process: does what its parent says, one JSON line at a time.

The parent starts `python -m umslab.bench.worker ROLE`, sends `{"do": ...}` lines and reads one answer line for each.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path
from typing import Any

PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> int:
    """Resident memory of this process, after a full collection."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def say(**answer: Any) -> None:
    """Answer the parent."""
    print(json.dumps(answer), flush=True)


def tune_gc() -> None:
    """Set what the product sets too (house.md section 9), so that all contenders have it."""
    gc.set_threshold(50_000, 50, 100)


def main() -> None:
    """Run the role named on the command line."""
    role, side = sys.argv[1].split("-")
    tune_gc()
    if role == "bare":
        from umslab.bench import bare as module  # noqa: PLC0415 - a worker loads its contender only
    elif role == "product":
        from umslab.bench import product as module  # type: ignore[no-redef]  # noqa: PLC0415
    else:
        from umslab.bench import asyncio_peer as module  # type: ignore[no-redef]  # noqa: PLC0415
    (module.serve if side == "server" else module.connect)(Path(sys.argv[2]))


if __name__ == "__main__":
    main()
