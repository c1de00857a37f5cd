# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol, one file per module."""

from __future__ import annotations
