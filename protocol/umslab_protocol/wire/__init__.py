# SPDX-License-Identifier: Apache-2.0
"""One format, one file: encode, decode, provenance."""

from __future__ import annotations
