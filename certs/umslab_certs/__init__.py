# SPDX-License-Identifier: Apache-2.0
"""Authorities, requests, PKCS#7, pins and TLS contexts."""

from __future__ import annotations
