# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.os11, one file per module."""

from __future__ import annotations
