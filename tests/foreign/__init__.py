# SPDX-License-Identifier: Apache-2.0
"""Strangers prove the product: programs that umslab did not write talk to it over real sockets.

Rules here: loopback only, no port is chosen by a test, every wait is for an event and has a bound, nothing that was
started outlives its fixture. `scripts/foreign` installs the programs; a test whose program is missing is skipped with
the reason, or fails when UMSLAB_REQUIRE_FOREIGN=1 is set.
"""
