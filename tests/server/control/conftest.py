# SPDX-License-Identifier: Apache-2.0
"""The fixture of this folder."""

from __future__ import annotations

from .desk import desk

__all__ = ["desk"]
