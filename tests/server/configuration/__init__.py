# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.configuration, one file per module."""

from __future__ import annotations
