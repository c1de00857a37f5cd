# SPDX-License-Identifier: Apache-2.0
"""`python -m umslab`."""

from __future__ import annotations

from umslab.cli import main

main()
