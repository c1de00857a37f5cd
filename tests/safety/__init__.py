# SPDX-License-Identifier: Apache-2.0
"""Proofs that umslab keeps to itself."""

from __future__ import annotations
