# SPDX-License-Identifier: Apache-2.0
"""One simulated IGEL OS 12 device (and, later, fleets of them)."""

from __future__ import annotations
