# SPDX-License-Identifier: Apache-2.0
"""Searches for a UMS by mDNS and prints one JSON line for each: `python -m tests.foreign.mdns_ask`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import trio

from umslab_runtime.net_trio import TrioNetwork


async def main() -> None:
    """Search where it is allowed."""
    for service in (await TrioNetwork().browse(patience=30.0)).services:
        sys.stdout.write(json.dumps(asdict(service)) + "\n")


if __name__ == "__main__":
    trio.run(main)
