# SPDX-License-Identifier: Apache-2.0
"""One simulated IGEL OS 11 device: TCP 30001 and 30005 over TLS 1.2; what it does there is shared with OS 12."""

from __future__ import annotations
