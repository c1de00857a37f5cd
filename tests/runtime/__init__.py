# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime, one file per module."""

from __future__ import annotations
