# SPDX-License-Identifier: Apache-2.0
"""Fleets: many devices of one plan, and what was measured of them."""
