# SPDX-License-Identifier: Apache-2.0
"""The one table of exit codes, for all verbs."""

from __future__ import annotations

OK = 0
ERROR = 1
"""It could not be done."""
USAGE = 2
"""The command line or the configuration is wrong."""
FAILED = 3
"""It ran, but something it tried failed."""
MISSED = 99
"""It ran, and a threshold was missed."""
