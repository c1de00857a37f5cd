# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: the product against a bare loop and against peers, in one run."""

from __future__ import annotations
