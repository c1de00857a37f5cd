# SPDX-License-Identifier: Apache-2.0
"""The demo: a server and 25 devices on loopback, their life in two minutes, and what must not work.

Everything is in a temporary folder and gone afterwards. The server is the real `umslab serve` in a process of its own;
the devices are the real devices, all in this process.
"""

from __future__ import annotations

from umslab.demo import discovery
from umslab.demo.lan import what_is_missing
from umslab.demo.process import DemoFailedError
from umslab.demo.show import Show
from umslab.demo.story import run

__all__ = ["DemoFailedError", "Show", "discovery", "run", "what_is_missing"]
