# SPDX-License-Identifier: Apache-2.0
"""The simulated UMS server."""

from __future__ import annotations
