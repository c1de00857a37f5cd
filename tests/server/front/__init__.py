# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.front, one file per module."""

from __future__ import annotations
