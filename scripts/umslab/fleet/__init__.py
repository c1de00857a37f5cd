# SPDX-License-Identifier: Apache-2.0
"""Fleets on the real machine: scenario files, processes, sockets, state; their reports as text, pages and JUnit."""
