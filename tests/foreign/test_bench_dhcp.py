# SPDX-License-Identifier: Apache-2.0
"""The DHCP benchmark runs; its numbers are for `scripts/bench dhcp`, not for a test."""

from __future__ import annotations

import json
import os
import sys

from .strangers import missing, need, run


def test_it_runs_small() -> None:
    """Both lease from the real Kea, and nothing is left of the namespaces."""
    need("kea-dhcp4", "perfdhcp", "ip")
    if os.geteuid() != 0:
        missing("network namespaces need root")
    done = run(sys.executable, "-m", "umslab.bench", "dhcp", "--clients", "100", "--rounds", "1", "--json")
    document = json.loads(done.out)

    assert ["perfdhcp", "all of it"] == [measure["against"] for measure in document["measures"]]
    assert all(measure["product"] > 0 for measure in document["measures"])
    assert "umslab-bench-" not in run("ip", "netns").out
