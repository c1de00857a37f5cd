# SPDX-License-Identifier: Apache-2.0
"""DHCP for people: what to write into a server's configuration, and what a device makes of what it got."""
