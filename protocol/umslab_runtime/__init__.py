# SPDX-License-Identifier: Apache-2.0
"""Trio adapters that both sides share."""

from __future__ import annotations
