# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.tuning."""

from __future__ import annotations

import gc
import sys

import pytest

from umslab_runtime.tuning import GC_THRESHOLDS, SWITCH_SECONDS, tune_interpreter


def test_sets_and_nothing_else() -> None:
    """Thresholds and switch interval are as documented afterwards."""
    thresholds, interval = gc.get_threshold(), sys.getswitchinterval()
    try:
        tune_interpreter()

        assert GC_THRESHOLDS == gc.get_threshold()
        assert sys.getswitchinterval() == pytest.approx(SWITCH_SECONDS)
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        sys.setswitchinterval(interval)
