# SPDX-License-Identifier: Apache-2.0
"""HTTP adapters: one file per conversation, no decisions of their own."""

from __future__ import annotations
