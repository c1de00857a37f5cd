# SPDX-License-Identifier: Apache-2.0
"""The nouns of the protocols, checked once when they are made."""

from __future__ import annotations
