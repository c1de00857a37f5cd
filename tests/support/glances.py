# SPDX-License-Identifier: Apache-2.0
"""A moment of a run, for tests of what is made of it."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from umslab.fleet.glance import Glance, StepGlance

GLANCE = Glance(
    due=40,
    arrived=37,
    paused=False,
    left=75.0,
    steps={"tcp": StepGlance(37, 0.001, 0.002, 0.004), "managed": StepGlance(30, 0.11, 0.52, 1.5)},
    causes={"server: enrol key-refused 401": 3},
    cpu=0.42,
    lag=0.002,
    memory=90 * 2**20,
)


def glance_with(**changes: Any) -> Glance:
    """The usual one, changed."""
    return replace(GLANCE, **changes)
