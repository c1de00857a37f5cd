# SPDX-License-Identifier: Apache-2.0
"""Bytes, messages and state machines: no I/O, no clock, no dice."""

from __future__ import annotations
