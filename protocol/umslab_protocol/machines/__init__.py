# SPDX-License-Identifier: Apache-2.0
"""State machines that both sides run."""

from __future__ import annotations
