# SPDX-License-Identifier: Apache-2.0
"""A benchmark's worker process: does what its parent says, one JSON line at a time.

The parent starts `python -m umslab.bench.worker ROLE`, sends JSON lines and reads one answer line for each.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from umslab_runtime.tuning import GC_THRESHOLDS

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
    gc.set_threshold(*GC_THRESHOLDS)


def main() -> None:
    """Run the role named on the command line."""
    role, side = sys.argv[1].split("-")
    tune_gc()
    module = import_module(f"umslab.bench.{role}")  # a worker loads its contender only
    (module.serve if side == "server" else module.connect)(Path(sys.argv[2]))


if __name__ == "__main__":
    main()
