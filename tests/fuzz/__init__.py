# SPDX-License-Identifier: Apache-2.0
"""Random and hostile input: whatever arrives, only declared errors come out, and memory stays bounded."""

from __future__ import annotations
